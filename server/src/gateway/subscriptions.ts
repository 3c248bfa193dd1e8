/** The subscriptions of one connection, by channel. They may come and go while they are gone through. */
import type { Subscription } from "./subscription.ts";

export class Subscriptions {
  /** A single one has no map: most connections have one, and there are very many connections. */
  #all: Subscription | Map<string, Subscription> | undefined;

  get size(): number {
    if (this.#all === undefined) return 0;
    return this.#all instanceof Map ? this.#all.size : 1;
  }

  [Symbol.iterator](): Iterator<Subscription> {
    if (this.#all === undefined) return [].values();
    return this.#all instanceof Map ? this.#all.values() : [this.#all].values();
  }

  has(channel: string): boolean {
    return this.get(channel) !== undefined;
  }

  get(channel: string): Subscription | undefined {
    if (this.#all instanceof Map) return this.#all.get(channel);
    return this.#all?.channel === channel ? this.#all : undefined;
  }

  /** In place of the one on its channel, if there is one. */
  add(subscription: Subscription): void {
    const { channel } = subscription;
    if (this.#all instanceof Map) this.#all.set(channel, subscription);
    else if (this.#all === undefined || this.#all.channel === channel) this.#all = subscription;
    else this.#all = new Map([this.#all, subscription].map((one) => [one.channel, one]));
  }

  /** The one on the channel of this one. */
  delete({ channel }: Subscription): void {
    if (this.#all instanceof Map) this.#all.delete(channel);
    else if (this.#all?.channel === channel) this.#all = undefined;
  }
}
