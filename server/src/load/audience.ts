/** The subscribers of a load: many connections, spread over channels, counted together. */
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
  /** No more connections are made once it is aborted. */
  readonly signal?: AbortSignal;
}

export class Audience {
  readonly tally: Tally = new Tally();
  readonly #options: AudienceOptions;
  readonly #streams: readonly ChannelStream[];
  readonly #connections = new Set<LoadConnection>();
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

  /** Connects and subscribes all. Rejects with the server's words when it refuses one. */
  async gather(): Promise<void> {
    const { connections, signal } = this.#options;
    const numbers = Array.from({ length: connections }, (_, i) => i).values();
    const connectOn = async (): Promise<void> => {
      // All take their next number from the one iterator.
      for (const number of numbers) {
        if (signal?.aborted) return;
        await this.#connect(number);
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, connections) }, connectOn));
  }

  /** Deliveries that are owed when so many messages were published on each channel. */
  missing(publishedOn: (channel: string) => number): number {
    let sum = 0;
    for (const connection of this.#connections) sum += connection.missing(publishedOn);
    return sum;
  }

  /** Ends all connections and resolves when they are gone. */
  async leave(): Promise<void> {
    this.#ending = true;
    const all = [...this.#connections];
    for (const connection of all) connection.end();
    await Promise.all(all.map(({ closed }) => closed));
  }

  async #connect(number: number): Promise<void> {
    const { target, dialect, bytes, connections, channels } = this.#options;
    const connection = await LoadConnection.open({
      target,
      dialect,
      bytes,
      number,
      tally: this.tally,
      streams: this.#streamsOf(number),
      shared: connections > channels.length,
    });
    this.#connections.add(connection);
    void connection.closed.then((reason) => {
      this.#connections.delete(connection);
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
