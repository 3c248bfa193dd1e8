/**
 * Redis Streams: bus, log, cursors and queues on one server, a master behind Sentinels, or a Cluster.
 *
 * Connection: Redis 7 or newer; per master one connection for calls and one for subscriptions. No call hangs longer than five seconds.
 * The user needs the commands of `docs/reference/backbones/redis-streams.md`.
 *
 * Delivery semantics: one script per publish, on the keys of one channel: idempotency key, epoch, offset, entry, trimming and
 * the announcement happen together or not at all. `confirm` says when a publish is answered: `replicas`, when so many replicas have
 * it; `disk`, when the append-only file is flushed (checked at start); `memory`, at once. A server that was restarted
 * or replaced begins a new epoch, which says up to where the older history is also its own; a reader beyond that place is told of a gap.
 *
 * With `ingest: true`, what any program adds to the stream `todoku:ingest` is published as if it had come through the API.
 *
 * Capabilities: exactly-once with `confirm: replicas` or `disk`, within a window of up to 7 days; with `memory` at-most-once.
 *
 * Limits: a channel lives on one server, and so does a queue; each call for a queue is one script on its keys. `maxmemory-policy` must be `noeviction` (checked at start). A failover to a replica that had
 * not confirmed can lose what others confirmed: with several replicas, let all confirm.
 */
import type { Backbone, Bus, Capabilities, Cursors, Ingest, Log, Queue } from "../../contract.ts";
import type { Clock } from "../../../clock.ts";
import { cursorsWhileOpen, queueWhileOpen, type WhileOpen } from "../../while-open.ts";
import { RedisBus } from "../bus.ts";
import { redisStreamsCapabilities, type Confirm } from "../capabilities.ts";
import { checkServers } from "../health.ts";
import { RedisServers } from "../servers.ts";
import { RedisIngest } from "./ingest.ts";
import { RedisCursors } from "./cursors.ts";
import { channelsOf } from "./channels.ts";
import { RedisLog } from "./log.ts";
import { RedisQueue } from "./queue.ts";
import { ScriptCalls, type Confirmation } from "./script-calls.ts";
import { checkServerSettings } from "./server-settings.ts";
import { confirmationOf, confirmOf, type RedisStreamsSettings } from "./settings.ts";

export class RedisStreamsBackbone implements Backbone {
  readonly type = "redis-streams";
  readonly capabilities: Capabilities;
  readonly bus: Bus;
  readonly log: Log;
  readonly cursors: Cursors;
  readonly queue: Queue;
  readonly ingest?: Ingest;
  readonly #name: string;
  readonly #confirm: Confirm;
  readonly #confirmation: Confirmation | undefined;
  readonly #servers: RedisServers;
  readonly #bus: RedisBus;
  readonly #calls: ScriptCalls;

  /** `name` is the configured name. */
  constructor(name: string, settings: RedisStreamsSettings, clock: Clock) {
    const { prefix, cluster, cursor_lifetime } = settings;
    this.#name = name;
    this.#confirm = confirmOf(settings);
    this.capabilities = redisStreamsCapabilities(this.#confirm);
    this.#servers = new RedisServers(name, settings);
    const keyOf = (channel: string, part: string): string => `${prefix}{${channel}}:${part}`;
    const busOf = (channel: string): string => keyOf(channel, "bus");
    this.#bus = new RedisBus(name, this.#servers, {
      sharded: cluster !== undefined,
      publishTo: (channel) => [busOf(channel)],
      listenOn: busOf,
      wrap: (_, text) => text,
      unwrap: (redisChannel, text) => ({ text, channel: redisChannel.slice(prefix.length + 1, -"}:bus".length) }),
    });
    this.#confirmation = confirmationOf(settings);
    const calls = new ScriptCalls(name, this.#servers, this.#confirmation);
    const log = new RedisLog(
      calls,
      {
        bus: busOf,
        meta: (channel) => keyOf(channel, "meta"),
        log: (channel) => keyOf(channel, "log"),
        idempotency: (channel, key) => keyOf(channel, `key:${key}`),
      },
      cluster ? "SPUBLISH" : "PUBLISH",
      this.#confirmation !== undefined,
      () => `${clock.uuid().slice(0, 8)} ${this.#confirmation?.replicas ?? 0}`,
    );
    const cursors = new RedisCursors(calls, (channel, who) => keyOf(channel, `cursor:${who}`), cursor_lifetime, clock);
    const queue = new RedisQueue(
      calls,
      {
        base: (name) => keyOf(name, "queue"),
        bus: busOf,
        idempotency: (name, key) => keyOf(name, `queue:key:${key}`),
      },
      cluster ? "SPUBLISH" : "PUBLISH",
      this.#bus,
      clock,
    );
    this.#calls = calls;
    if (settings.ingest) this.ingest = new RedisIngest(name, this.#servers, prefix, clock);
    const whileOpen: WhileOpen = (call) => this.#whileOpen(call);
    this.bus = this.#bus;
    this.log = {
      append: (...given) => whileOpen(() => log.append(...given)),
      read: (...given) => whileOpen(() => log.read(...given)),
      heads: (...given) => whileOpen(() => log.heads(...given)),
      remove: (...given) => whileOpen(() => log.remove(...given)),
      channels: (namespace, after) => whileOpen(() => channelsOf(this.#servers, prefix, namespace, after)),
    };
    this.cursors = cursorsWhileOpen(cursors, whileOpen);
    this.queue = queueWhileOpen(queue, whileOpen);
  }

  async open(): Promise<void> {
    await this.#servers.open();
    try {
      await checkServerSettings(this.#name, this.#servers, this.#confirm, this.#confirmation);
    } catch (error) {
      this.#servers.close();
      throw error;
    }
    this.#bus.open();
  }

  async close(): Promise<void> {
    this.#bus.close();
    this.#calls.close();
    this.#servers.close();
  }

  async check(): Promise<void> {
    this.#bus.mustBeOpen();
    await checkServers(this.#name, this.#servers);
  }

  async #whileOpen<T>(work: () => Promise<T>): Promise<T> {
    this.#bus.mustBeOpen();
    return work();
  }
}
