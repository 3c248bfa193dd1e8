/** The subscribers of a load: many connections, spread over channels, counted together. */
import { setTimeout as after } from "node:timers/promises";
import { ChannelStream } from "./channel-stream.ts";
import type { Dialect } from "./dialect.ts";
import { LoadConnection, type Target } from "./load-connection.ts";
import { Tally } from "./tally.ts";

/** So many connect at once. */
const AT_ONCE = 64;

export interface AudienceOptions {
  readonly target: Target;
  readonly dialect: Dialect;
  readonly connections: number;
  /** With more connections than channels each channel has several; with fewer each connection has several channels. */
  readonly channels: readonly string[];
  /** Of a message's data, as JSON. */
  readonly bytes: number;
  /** Connections made a second; absent: as quickly as can be. */
  readonly connectRate?: number;
  /** Told why a connection was refused; absent: the first refusal ends it all. */
  readonly refused?: (reason: string) => void;
  /** No more connections are made once it is aborted. */
  readonly signal?: AbortSignal;
}

export class Audience {
  readonly tally: Tally = new Tally();
  readonly #options: AudienceOptions;
  readonly #streams: readonly ChannelStream[];
  /** By their number. */
  readonly #connections = new Map<number, LoadConnection>();
  /** Why connections have ended that should not have. */
  readonly #ends: string[] = [];
  #ending = false;

  constructor(options: AudienceOptions) {
    this.#options = options;
    this.#streams = options.channels.map((channel) => new ChannelStream(channel));
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Why connections have ended that should not have, one reason each. */
  get ends(): readonly string[] {
    return this.#ends;
  }

  /** Connects and subscribes all. Rejects with the server's words when it refuses one and nobody is told of refusals. */
  async gather(): Promise<void> {
    const { connections, connectRate, signal } = this.#options;
    const begun = performance.now();
    const numbers = Array.from({ length: connections }, (_, i) => i).values();
    const connectOn = async (): Promise<void> => {
      // All take their next number from the one iterator.
      for (const number of numbers) {
        const early = connectRate === undefined ? 0 : (number / connectRate) * 1000 - (performance.now() - begun);
        if (early > 0) await after(early);
        if (signal?.aborted) return;
        await this.#connect(number);
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, connections) }, connectOn));
  }

  /**
   * Sends a text frame over a connection that is subscribed to the channel, always the same as long as it lives. Returns whether
   * there is one that takes more.
   */
  sendFrom(channel: number, text: string): boolean {
    const { connections, channels } = this.#options;
    for (let number = channel % connections; number < connections; number += channels.length) {
      const connection = this.#connections.get(number);
      if (connection) {
        connection.send(text);
        return true;
      }
    }
    return false;
  }

  /** How many are subscribed to a channel. */
  subscribersOf(channel: number): number {
    const { connections, channels } = this.#options;
    if (connections < channels.length) return this.#connections.has(channel % connections) ? 1 : 0;
    let count = 0;
    for (let number = channel; number < connections; number += channels.length) {
      if (this.#connections.has(number)) count++;
    }
    return count;
  }

  /** Deliveries that are owed when so many messages were published on each channel. */
  missing(publishedOn: (channel: string) => number): number {
    let sum = 0;
    for (const connection of this.#connections.values()) sum += connection.missing(publishedOn);
    return sum;
  }

  /** Ends all connections and resolves when they are gone. */
  async leave(): Promise<void> {
    this.#ending = true;
    const all = [...this.#connections.values()];
    for (const connection of all) connection.end();
    await Promise.all(all.map(({ closed }) => closed));
  }

  async #connect(number: number): Promise<void> {
    const { target, dialect, bytes, connections, channels, refused } = this.#options;
    const opening = LoadConnection.open({
      target,
      dialect,
      bytes,
      number,
      tally: this.tally,
      streams: this.#streamsOf(number),
      shared: connections > channels.length,
    });
    const connection = await opening.catch((error: unknown) => {
      if (!refused) throw error;
      refused(error instanceof Error ? error.message : String(error));
      return undefined;
    });
    if (!connection) return;
    this.#connections.set(number, connection);
    void connection.closed.then((reason) => {
      this.#connections.delete(number);
      if (!this.#ending) this.#ends.push(reason);
    });
  }

  #streamsOf(number: number): readonly ChannelStream[] {
    const { connections } = this.#options;
    const count = this.#streams.length;
    if (connections >= count) return this.#streams.slice(number % count, (number % count) + 1);
    return this.#streams.filter((_, i) => i % connections === number);
  }
}
