/** The settings of the Kafka backbone. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { bytes, duration } from "../../units.ts";

const tls = z
  .strictObject({
    ca: z.string().optional().describe("PEM file with the authority that signed the brokers' certificates."),
    cert: z.string().optional().describe("PEM file with the client's certificate."),
    key: z.string().optional().describe("PEM file with the client's private key."),
    server_name: z.string().optional().describe("Name that the brokers' certificates must have, if not their host's."),
  })
  .describe("Connect with TLS. Certificates are always verified.");

const sasl = z
  .strictObject({
    mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]).default("SCRAM-SHA-512"),
    username: z.string(),
    password: z.string().meta({ writeOnly: true }),
  })
  .describe("How the brokers know who this is.");

const topicName = z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, "may have A-Z a-z 0-9 . _ -, 249 characters at most");

export const KAFKA_CONNECTION = {
  brokers: z
    .array(z.string().regex(/^[^\s,/]+:\d{1,5}$/, "must be written like host:9092"))
    .min(1)
    .describe("Some brokers of the cluster, as host:port; the others are found."),
  tls: tls.optional(),
  sasl: sasl.optional(),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,100}$/, "may have A-Z a-z 0-9 . _ -")
    .default("todoku.")
    .describe("Before the name of every topic; the messages of namespace chat lie in todoku.chat."),
  topics: z
    .record(z.string(), topicName)
    .default({})
    .describe("Topics that are called otherwise: namespace → topic. It must have as many partitions as the others."),
  partitions: z
    .int()
    .min(1)
    .max(1000)
    .default(12)
    .describe("Partitions that the channels of a namespace are hashed to; never changed once there are messages."),
  replicas: z
    .int()
    .min(1)
    .max(15)
    .optional()
    .describe("Copies of each partition of topics that are made. Default: 3, or as many as there are brokers."),
  create_topics: z.boolean().default(true).describe("Make topics that are not there."),
  retention: duration("7d", "1m").describe(
    "How long topics that are made keep messages; no shorter than the retention of any namespace.",
  ),
  cursor_lifetime: duration("90d", "1h").describe("A durable subscription that is not used for so long is forgotten."),
  dedupe_positions: z
    .int()
    .min(1000)
    .max(100_000_000)
    .default(1_000_000)
    .describe("Positions of a partition within which a repeated key is recognised; the same on every gateway."),
  queue_bytes: bytes("256MiB").describe(
    "Most bytes of jobs that wait in one partition; beyond it jobs are refused. Every gateway that uses one of its queues has them in memory.",
  ),
  queue_snapshot: bytes("16MiB").describe(
    "Log of a partition of queues after which their state is written down, and older log removed; more where the state is larger.",
  ),
  read_bytes: bytes("1MiB").describe("Most bytes that are asked of a partition at once."),
  unsafe: z
    .boolean()
    .default(false)
    .describe("Take topics whose settings can lose messages, with a warning; for one machine without replicas."),
} as const;

const connection = z.strictObject(KAFKA_CONNECTION);

export type KafkaSettings = z.output<typeof connection>;

/** Settings that contradict each other. `at` is their key in the configuration. */
export function kafkaProblems(at: string, settings: KafkaSettings): readonly string[] {
  const problems: string[] = [];
  for (const key of ["ca", "cert", "key"] as const) {
    const file = settings.tls?.[key];
    try {
      if (file !== undefined) readFileSync(file);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      problems.push(`${at}.tls.${key} cannot be read (${why}). Set it to a PEM file`);
    }
  }
  if (settings.sasl?.mechanism === "PLAIN" && !settings.tls) {
    problems.push(
      `${at}.sasl.mechanism PLAIN sends the password as it is, and there is no TLS. Set ${at}.tls, or use SCRAM-SHA-512`,
    );
  }
  const named = Object.values(settings.topics);
  if (new Set(named).size < named.length) {
    problems.push(`${at}.topics gives one topic to two namespaces (${named.join(", ")}). Give each its own`);
  }
  return problems;
}
