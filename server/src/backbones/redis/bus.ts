/** The bus of all Redis backbones: frames as text on Pub/Sub channels. */
import { BackboneError, type Bus, type BusOptions, type Frame, type FrameListener } from "../contract.ts";
import { decodeFrame, encodeFrame } from "../frame-text.ts";
import { LocalBus } from "../local-bus.ts";
import { Publishes } from "./publishes.ts";
import type { RedisServers } from "./servers.ts";
import { Subscriptions } from "./subscriptions.ts";

/** Which Redis channels carry a channel of ours. */
export interface Routes {
  /** SPUBLISH and SSUBSCRIBE instead of PUBLISH and SUBSCRIBE. */
  readonly sharded: boolean;
  /** Where a frame is published: each of these reaches other gateways. */
  publishTo(channel: string, broadcast: boolean): readonly string[];
  /** Where this gateway listens. */
  listenOn(channel: string, broadcast: boolean): string;
  /** The payload around a frame's text, where several of our channels share one of Redis. */
  wrap(channel: string, text: string): string;
  /** The channel and the text of a payload; undefined for what is no payload of ours. */
  unwrap(redisChannel: string, payload: string): { readonly channel: string; readonly text: string } | undefined;
}

export class RedisBus implements Bus {
  readonly #name: string;
  readonly #routes: Routes;
  readonly #listeners = new LocalBus();
  /** Redis channel → our channels that are listened to on it, each with how many listeners. */
  readonly #shared = new Map<string, Map<string, number>>();
  readonly #publishes: Publishes;
  readonly #subscriptions: Subscriptions;
  #open = false;

  constructor(name: string, servers: RedisServers, routes: Routes) {
    this.#name = name;
    this.#publishes = new Publishes(name, servers, routes.sharded);
    this.#routes = routes;
    this.#subscriptions = new Subscriptions(
      name,
      servers,
      routes.sharded,
      (redisChannel, payload) => this.#receive(redisChannel, payload),
      (redisChannels) => this.#interrupted(redisChannels),
    );
  }

  open(): void {
    this.#open = true;
    this.#subscriptions.open();
  }

  close(): void {
    this.#open = false;
    this.#subscriptions.close();
    this.#listeners.clear();
    this.#shared.clear();
  }

  async publish(channel: string, frame: Frame, { broadcast = false }: BusOptions = {}): Promise<void> {
    this.mustBeOpen();
    const payload = this.#routes.wrap(channel, encodeFrame(frame));
    const [first = "", ...others] = this.#routes.publishTo(channel, broadcast);
    if (others.length === 0) return this.#publishes.add(first, payload);
    await Promise.all([first, ...others].map((to) => this.#publishes.add(to, payload)));
  }

  async subscribe(
    channel: string,
    listener: FrameListener,
    { broadcast = false }: BusOptions = {},
  ): Promise<() => Promise<void>> {
    this.mustBeOpen();
    const redisChannel = this.#routes.listenOn(channel, broadcast);
    const off = this.#listeners.add(channel, listener);
    this.#count(redisChannel, channel, 1);
    let stopped = false;
    const stop = async (): Promise<void> => {
      if (stopped) return;
      stopped = true;
      await off();
      if (this.#count(redisChannel, channel, -1) === 0) await this.#subscriptions.remove(redisChannel);
    };
    try {
      await this.#subscriptions.add(redisChannel);
      return stop;
    } catch (error) {
      await stop();
      throw error;
    }
  }

  mustBeOpen(): void {
    if (!this.#open) throw new BackboneError("unavailable", `[${this.#name}] the backbone is closed`);
  }

  /** Returns how many of our channels are left on the Redis channel. */
  #count(redisChannel: string, channel: string, change: 1 | -1): number {
    const channels = this.#shared.get(redisChannel) ?? new Map<string, number>();
    const listeners = (channels.get(channel) ?? 0) + change;
    if (listeners === 0) channels.delete(channel);
    else channels.set(channel, listeners);
    if (channels.size === 0) this.#shared.delete(redisChannel);
    else this.#shared.set(redisChannel, channels);
    return channels.size;
  }

  #receive(redisChannel: string, payload: string): void {
    const unwrapped = this.#routes.unwrap(redisChannel, payload);
    if (!unwrapped) {
      for (const channel of this.#shared.get(redisChannel)?.keys() ?? [])
        this.#listeners.emit(channel, { kind: "malformed" });
      return;
    }
    const { channel, text } = unwrapped;
    if (this.#listeners.has(channel)) this.#listeners.emit(channel, decodeFrame(text));
  }

  #interrupted(redisChannels: readonly string[]): void {
    for (const redisChannel of redisChannels) {
      for (const channel of this.#shared.get(redisChannel)?.keys() ?? [])
        this.#listeners.emit(channel, { kind: "interrupted" });
    }
  }
}
