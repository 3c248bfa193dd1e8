/**
 * Redis Pub/Sub: a bus and nothing else.
 *
 * Connection: one server, a master behind Sentinels, or a Cluster (whose bus then carries every message to every node); one
 * connection for publishing, one for subscriptions. A lost connection is made again for ever; what is published meanwhile
 * fails as unavailable.
 *
 * Delivery semantics: a message reaches the gateways that are subscribed at that moment, in the order of the server, and
 * is kept nowhere. It is lost for a gateway whose connection is down, or that the server cuts off because it reads too
 * slowly (`client-output-buffer-limit pubsub`). Never repeated. `redis-cli PUBLISH todoku:chat:42 '{"text":"hi"}'` from
 * any program reaches the subscribers; text that is not JSON is counted as malformed and goes no further.
 *
 * Capabilities: at-most-once; shared between processes. A log from another backbone makes more of it.
 *
 * Limits: every message passes through one server. Redis takes 512 MiB per message; the platform's own limit is lower.
 */
import type { Backbone, Bus, Capabilities } from "../contract.ts";
import { RedisBus } from "./bus.ts";
import { REDIS_PUBSUB_CAPABILITIES } from "./capabilities.ts";
import { checkServers } from "./health.ts";
import { RedisServers } from "./servers.ts";
import type { RedisConnection } from "./settings.ts";

export class RedisPubSubBackbone implements Backbone {
  readonly type = "redis-pubsub";
  readonly capabilities: Capabilities = REDIS_PUBSUB_CAPABILITIES;
  readonly bus: Bus;
  readonly #name: string;
  readonly #servers: RedisServers;
  readonly #bus: RedisBus;

  /** `name` is the configured name. */
  constructor(name: string, settings: RedisConnection) {
    const { prefix } = settings;
    this.#name = name;
    this.#servers = new RedisServers(name, settings);
    this.#bus = new RedisBus(name, this.#servers, {
      sharded: false,
      publishTo: (channel) => [prefix + channel],
      listenOn: (channel) => prefix + channel,
      wrap: (_, text) => text,
      unwrap: (redisChannel, text) => ({ channel: redisChannel.slice(prefix.length), text }),
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
