/** The settings that all Redis backbones share: where the servers are, and how to get in. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { redact } from "../../redact.ts";

const tls = z
  .strictObject({
    ca: z.string().optional().describe("PEM file with the authority that signed the servers' certificates."),
    cert: z.string().optional().describe("PEM file with the client's certificate."),
    key: z.string().optional().describe("PEM file with the client's private key."),
    server_name: z.string().optional().describe("Name that the servers' certificates must have, if not their host's."),
  })
  .describe("Connect with TLS; `rediss:` URLs do so without it. Certificates are always verified.");

const address = z.string().regex(/^rediss?:\/\//, "must begin with redis:// or rediss://");

/** How to get in, and what things are called. */
const ACCESS = {
  username: z.string().optional().describe("ACL user."),
  password: z.string().meta({ writeOnly: true }).optional().describe("Password of the user, or of the server."),
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

/** For what runs in a Cluster only. */
export const REDIS_CLUSTER = {
  cluster: z.array(address).min(1).describe("URLs of some nodes of a Redis Cluster; the others are found."),
  ...ACCESS,
} as const;

/** For what runs on one server, behind Sentinels, or in a Cluster. */
export const REDIS_CONNECTION = {
  url: address.optional().describe("One server: `redis://host:6379/0`. Exactly one of url, sentinels, cluster."),
  sentinels: z
    .array(address)
    .min(1)
    .optional()
    .describe("URLs of the Sentinels that know the master; a login in them is for the Sentinels."),
  master: z.string().optional().describe("The name by which the Sentinels know the master."),
  ...REDIS_CLUSTER,
  cluster: REDIS_CLUSTER.cluster.optional(),
} as const;

const connection = z.strictObject(REDIS_CONNECTION);

export type RedisConnection = z.output<typeof connection>;

/** Settings that contradict each other. `at` is their key in the configuration; every problem names key, value and way out. */
export function connectionProblems(at: string, settings: RedisConnection): readonly string[] {
  const { url, sentinels, master, cluster, tls: secure } = settings;
  const problems: string[] = [];
  const given = Object.entries({ url, sentinels, cluster }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    const said = given.length === 0 ? "none" : given.map(([key]) => key).join(" and ");
    problems.push(
      `${at} says where Redis is by exactly one of url, sentinels, cluster, and has ${said}. ` +
        (given.length === 0 ? `Set ${at}.url to redis://host:6379` : "Keep one and remove the other"),
    );
  }
  if (sentinels && master === undefined) {
    problems.push(
      `${at}.sentinels has no master to ask for. Set ${at}.master to the name in "sentinel monitor NAME …"`,
    );
  }
  if (!sentinels && master !== undefined) {
    problems.push(`${at}.master (${master}) goes with sentinels only. Remove it, or set ${at}.sentinels`);
  }
  if (cluster && [...cluster].some((node) => new URL(node).pathname.length > 1)) {
    problems.push(
      `${at}.cluster names a database (${cluster.join(", ")}), and a Cluster has database 0 only. Remove the path`,
    );
  }
  for (const key of ["ca", "cert", "key"] as const) {
    const file = secure?.[key];
    try {
      if (file !== undefined) readFileSync(file);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      problems.push(`${at}.tls.${key} cannot be read (${why}). Set it to a PEM file`);
    }
  }
  return problems.map(redact);
}
