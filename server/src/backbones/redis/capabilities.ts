import type { Capabilities } from "../contract.ts";

const MESSAGE_BYTES = 8 * 1024 * 1024;
const DAY_MS = 86_400_000;

const BUS_ONLY = {
  delivery: "at-most-once",
  durable: false,
  shared: true,
  announces: false,
  ordering: "channel",
  dedupeWindowMs: 0,
  messageBytes: MESSAGE_BYTES,
  retention: [],
} as const satisfies Capabilities;

export const REDIS_PUBSUB_CAPABILITIES: Capabilities = Object.freeze({ ...BUS_ONLY });

export const REDIS_SHARDED_CAPABILITIES: Capabilities = Object.freeze({ ...BUS_ONLY, broadcast: true });

/** When a publish is answered. */
export const CONFIRM = ["replicas", "disk", "memory"] as const;
export type Confirm = (typeof CONFIRM)[number];

/**
 * What Redis Streams can promise depends on when a publish is answered. Answered from memory, a crash or a failover can
 * lose it: that is announced (a new epoch, a gap), but it is no guarantee.
 */
export function redisStreamsCapabilities(confirm: Confirm): Capabilities {
  const kept = confirm !== "memory";
  return Object.freeze({
    ...BUS_ONLY,
    delivery: kept ? "exactly-once" : "at-most-once",
    durable: kept,
    announces: true,
    dedupeWindowMs: 7 * DAY_MS,
    retention: ["ageMs", "messages", "bytes"],
    // Results go to other keys, which a Cluster may hold on other servers: no script could store them together.
    queue: Object.freeze({ deliverAt: true, ttl: true, results: false }),
  } satisfies Capabilities);
}
