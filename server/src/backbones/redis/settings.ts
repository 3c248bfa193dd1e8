/** The settings that all Redis backbones share: where the servers are, and how to get in. */
import { z } from "zod";

const tls = z
  .strictObject({
    ca: z.string().optional().describe("PEM file with the authority that signed the servers' certificates."),
    cert: z.string().optional().describe("PEM file with the client's certificate."),
    key: z.string().optional().describe("PEM file with the client's private key."),
    server_name: z.string().optional().describe("Name that the servers' certificates must have, if not their host's."),
  })
  .describe("Connect with TLS; `rediss:` URLs do so without it. Certificates are always verified.");

export const REDIS_CONNECTION = {
  url: z
    .string()
    .regex(/^rediss?:\/\//, "must begin with redis:// or rediss://")
    .optional()
    .describe("One server: `redis://host:6379/0`."),
  sentinels: z
    .array(z.string().regex(/^rediss?:\/\//, "must begin with redis:// or rediss://"))
    .min(1)
    .optional()
    .describe("URLs of the Sentinels that know the master."),
  master: z.string().optional().describe("The name by which the Sentinels know the master."),
  cluster: z
    .array(z.string().regex(/^rediss?:\/\//, "must begin with redis:// or rediss://"))
    .min(1)
    .optional()
    .describe("URLs of some nodes of a Redis Cluster; the others are found."),
  username: z.string().optional().describe("ACL user."),
  password: z.string().optional().describe("Password of the user, or of the server."),
  tls: tls.optional(),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]*$/, "may have A-Z a-z 0-9 _ . : -")
    .default("todoku:")
    .describe("Before the name of every key and channel."),
  name: z
    .string()
    .regex(/^\S+$/, "must have no spaces")
    .default("todoku")
    .describe("Name of the connections in `CLIENT LIST`."),
} as const;

const connection = z.strictObject(REDIS_CONNECTION);

export type RedisConnection = z.output<typeof connection>;
