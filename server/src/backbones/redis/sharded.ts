/**
 * Redis sharded Pub/Sub over a Cluster: a bus that scales with the shards.
 *
 * Connection: a Cluster (Redis 7 or newer); a connection for publishing and one for subscriptions to each master. A moved
 * slot, a failover or a frozen node is noticed within seconds, and the subscriptions are made again where they belong.
 *
 * Delivery semantics: channels are hashed to partitions, and each partition has a shard channel whose slot is chosen so that
 * the partitions are spread evenly. A gateway subscribes to the partitions of the channels that its clients want. In a namespace with
 * `broadcast` every gateway listens on one shard and publishers publish once to every shard, so that the work of reaching
 * many gateways is shared by all. Kept nowhere, never repeated; lost during a failover or a slot's move.
 *
 * Capabilities: at-most-once; shared; broadcast. A log from another backbone makes more of it.
 *
 * Limits: a partition passes through one shard; a gateway gets the messages of all channels in its partitions.
 */
import { createHash, randomInt } from "node:crypto";
import type { Backbone, Bus, Capabilities } from "../contract.ts";
import { RedisBus } from "./bus.ts";
import { REDIS_SHARDED_CAPABILITIES } from "./capabilities.ts";
import { checkServers } from "./health.ts";
import { RedisServers } from "./servers.ts";
import type { RedisConnection } from "./settings.ts";
import { spreadTags } from "./spread-tags.ts";

export interface RedisShardedSettings extends RedisConnection {
  /** How many partitions the channels are hashed to. The same on every gateway. */
  readonly partitions: number;
  /** Over how many shard channels a broadcast is spread; as many as there are shards. The same on every gateway. */
  readonly broadcast_ways: number;
}

/** Channel and frame share a payload; no channel name has a newline. */
const SEPARATOR = "\n";

export class RedisShardedBackbone implements Backbone {
  readonly type = "redis-sharded";
  readonly capabilities: Capabilities = REDIS_SHARDED_CAPABILITIES;
  readonly bus: Bus;
  readonly #name: string;
  readonly #servers: RedisServers;
  readonly #bus: RedisBus;

  /** `name` is the configured name. */
  constructor(name: string, settings: RedisShardedSettings) {
    const { prefix, partitions, broadcast_ways } = settings;
    const tags = spreadTags(partitions);
    const all = spreadTags(broadcast_ways).map((tag) => `${prefix}{${tag}}:all`);
    // Which shard this gateway listens on for broadcasts: any, as long as the gateways are spread.
    const own = all[randomInt(all.length)] ?? "";
    const partitionOf = (channel: string): string => {
      const hash = createHash("sha1").update(channel).digest().readUInt32BE();
      return `${prefix}{${tags[hash % partitions] ?? ""}}`;
    };
    this.#name = name;
    this.#servers = new RedisServers(name, settings);
    this.#bus = new RedisBus(name, this.#servers, {
      sharded: true,
      publishTo: (channel, broadcast) => (broadcast ? all : [partitionOf(channel)]),
      listenOn: (channel, broadcast) => (broadcast ? own : partitionOf(channel)),
      wrap: (channel, text) => channel + SEPARATOR + text,
      unwrap: (_, payload) => {
        const end = payload.indexOf(SEPARATOR);
        return end === -1 ? undefined : { channel: payload.slice(0, end), text: payload.slice(end + 1) };
      },
    });
    this.bus = this.#bus;
  }

  async open(): Promise<void> {
    await this.#servers.open();
    this.#bus.open();
  }

  async close(): Promise<void> {
    this.#bus.close();
    this.#servers.close();
  }

  async check(): Promise<void> {
    this.#bus.mustBeOpen();
    await checkServers(this.#name, this.#servers);
  }
}
