/**
 * The backbones that exist: one row each. A row holds the settings that the configuration accepts, the capability
 * record, the facets, and how to make one; the broker's client library is loaded only when its backbone is made.
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { duration, optionalBytes, optionalDuration } from "../units.ts";
import { BackboneError, type Backbone, type Capabilities, type Facet } from "./contract.ts";
import { EMBEDDED_CAPABILITIES } from "./embedded/capabilities.ts";
import { KAFKA_CAPABILITIES } from "./kafka/capabilities.ts";
import { KAFKA_CONNECTION, kafkaProblems } from "./kafka/settings.ts";
import { MEMORY_CAPABILITIES } from "./memory.ts";
import {
  CONFIRM,
  REDIS_PUBSUB_CAPABILITIES,
  REDIS_SHARDED_CAPABILITIES,
  redisStreamsCapabilities,
} from "./redis/capabilities.ts";
import { connectionProblems, REDIS_CLUSTER, REDIS_CONNECTION } from "./redis/settings.ts";
import { streamsProblems } from "./redis/streams/settings.ts";

export interface BackboneType {
  readonly capabilities: Capabilities;
  readonly facets: readonly Facet[];
}

/** What each type of backbone can promise, without making one. */
export const BACKBONE_TYPES: Readonly<Record<BackboneSettings["type"], BackboneType>> = {
  memory: { capabilities: MEMORY_CAPABILITIES, facets: ["bus", "log", "cursors", "queue"] },
  embedded: { capabilities: EMBEDDED_CAPABILITIES, facets: ["bus", "log", "cursors", "queue"] },
  "redis-pubsub": { capabilities: REDIS_PUBSUB_CAPABILITIES, facets: ["bus"] },
  "redis-sharded": { capabilities: REDIS_SHARDED_CAPABILITIES, facets: ["bus"] },
  "redis-streams": { capabilities: redisStreamsCapabilities("replicas"), facets: ["bus", "log", "cursors", "queue"] },
  kafka: { capabilities: KAFKA_CAPABILITIES, facets: ["bus", "log", "cursors", "queue"] },
};

export const backboneSchema = z.discriminatedUnion("type", [
  z
    .strictObject({
      type: z.literal("memory"),
      bytes: optionalBytes.describe("Most bytes of messages and waiting jobs together. Default 256MiB."),
    })
    .describe("In the process; nothing survives it."),
  z
    .strictObject({
      type: z.literal("embedded"),
      path: z
        .string()
        .default("./todoku-data")
        .describe("Folder of the log, seen from the folder that the program runs in; one process at a time."),
      max_size: optionalBytes.describe(
        "Most bytes that the log may take on disk; beyond it publishes are refused until retention has made room. Default: as many as fit.",
      ),
    })
    .describe("A durable log in the gateway's own process."),
  z
    .strictObject({ type: z.literal("redis-pubsub"), ...REDIS_CONNECTION })
    .describe("Redis Pub/Sub: a bus between gateways that keeps nothing."),
  z
    .strictObject({
      type: z.literal("redis-sharded"),
      ...REDIS_CLUSTER,
      partitions: z
        .int()
        .min(1)
        .max(4096)
        .default(64)
        .describe("Partitions that the channels are hashed to; the same on every gateway."),
      broadcast_ways: z
        .int()
        .min(1)
        .max(256)
        .default(3)
        .describe("Shard channels that a broadcast is spread over: the number of shards; the same on every gateway."),
    })
    .describe("Redis Cluster's sharded Pub/Sub: a bus that scales with the shards and keeps nothing."),
  z
    .strictObject({
      type: z.literal("redis-streams"),
      ...REDIS_CONNECTION,
      confirm: z
        .enum(CONFIRM)
        .optional()
        .describe(
          "When a publish is answered: once `replicas` have it, once it is on `disk`, or from `memory` (at-most-once). Default: disk for one server, replicas for Sentinel and Cluster.",
        ),
      replicas: z.int().min(1).max(16).optional().describe("How many replicas of a server confirm. Default 1."),
      confirm_timeout: optionalDuration("1ms").describe("Time within which they must, up to 3s. Default 1s."),
      ingest: z
        .boolean()
        .default(false)
        .describe("Publish what other programs add to the stream `PREFIXingest`; see the page of redis-streams."),
      cursor_lifetime: duration("90d").describe("A durable subscription that is not used for so long is forgotten."),
    })
    .describe("Redis Streams: messages kept for days, on one server, behind Sentinels, or in a Cluster."),
  z
    .strictObject({ type: z.literal("kafka"), ...KAFKA_CONNECTION })
    .describe("Apache Kafka: messages kept for long, on the partitions of a topic per namespace."),
]);

export type BackboneSettings = z.output<typeof backboneSchema>;

/** Settings of a backbone that contradict each other. Every problem names its key, the value and the way out. */
export function backboneProblems(name: string, settings: BackboneSettings): readonly string[] {
  const at = `backbones.${name}`;
  switch (settings.type) {
    case "memory":
    case "embedded":
      return [];
    case "redis-pubsub":
    case "redis-sharded":
      return connectionProblems(at, settings);
    case "redis-streams":
      return [...connectionProblems(at, settings), ...streamsProblems(at, settings)];
    case "kafka":
      return kafkaProblems(at, settings);
  }
}

/** Makes the backbone that the settings describe; it is not open yet. `name` is the configuration's name for it. */
export async function createBackbone(name: string, settings: BackboneSettings, clock: Clock): Promise<Backbone> {
  switch (settings.type) {
    case "memory": {
      const { MemoryBackbone } = await import("./memory.ts");
      return new MemoryBackbone({ ...(settings.bytes !== undefined && { bytes: settings.bytes }) }, clock);
    }
    case "embedded": {
      const { EmbeddedBackbone } = await import("./embedded/embedded.ts");
      const { path, max_size } = settings;
      return new EmbeddedBackbone(name, { path, ...(max_size !== undefined && { maxSize: max_size }) }, clock);
    }
    case "redis-pubsub": {
      const { RedisPubSubBackbone } = await load(name, "ioredis", "", () => import("./redis/pubsub.ts"));
      return new RedisPubSubBackbone(name, settings);
    }
    case "redis-sharded": {
      const { RedisShardedBackbone } = await load(name, "ioredis", "", () => import("./redis/sharded.ts"));
      return new RedisShardedBackbone(name, settings);
    }
    case "redis-streams": {
      const { RedisStreamsBackbone } = await load(name, "ioredis", "", () => import("./redis/streams/streams.ts"));
      return new RedisStreamsBackbone(name, settings, clock);
    }
    case "kafka": {
      const { KafkaBackbone } = await load(name, "@platformatic/kafka", "@2", () => import("./kafka/kafka.ts"));
      return new KafkaBackbone(name, settings, clock);
    }
  }
}

/** The client library of a broker is installed by who uses that broker; `version` where npm may choose one that is too old. */
async function load<T>(name: string, library: string, version: string, file: () => Promise<T>): Promise<T> {
  try {
    return await file();
  } catch (error) {
    const absent = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
    if (!absent) throw error;
    const install = `npm install ${library}${version}`;
    throw new BackboneError("invalid", `[${name}] needs the package ${library}. Install it: ${install}`, {
      cause: error,
    });
  }
}
