import type { Capabilities } from "../contract.ts";

/** What the embedded log can promise. */
export const EMBEDDED_CAPABILITIES: Capabilities = Object.freeze({
  delivery: "exactly-once",
  durable: true,
  shared: false,
  announces: true,
  ordering: "channel",
  once: true,
  dedupeWindowMs: 30 * 86_400_000,
  messageBytes: 64 * 1024 * 1024,
  retention: ["ageMs", "messages", "bytes"],
  queue: Object.freeze({ deliverAt: true, ttl: true, results: true }),
} satisfies Capabilities);
