import type { Capabilities } from "../contract.ts";

const DAY_MS = 86_400_000;

/** Of `data`: a broker takes batches of 1,048,588 bytes unless it is told otherwise, and a record has headers too. */
export const KAFKA_MESSAGE_BYTES: number = 900 * 1024;

/** What Kafka can promise. Its topics keep by age; what a limit by count or bytes would remove is kept longer. */
export const KAFKA_CAPABILITIES: Capabilities = Object.freeze({
  delivery: "exactly-once",
  durable: true,
  shared: true,
  announces: true,
  ordering: "channel",
  dedupeWindowMs: DAY_MS,
  messageBytes: KAFKA_MESSAGE_BYTES,
  retention: ["ageMs"],
  // A transaction cannot depend on the fence, which is only known when the end of the job is read back.
  queue: { deliverAt: true, ttl: true, results: false },
} satisfies Capabilities);
