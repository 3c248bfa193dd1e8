import type { Parcel } from "./parcel.ts";
import type { SharedPublication } from "./shared-publication.ts";

/** What a feed delivers to. */
export interface Receiver {
  /** A publication, in order. Returns whether it was handed to the connection. */
  offer(publication: SharedPublication): boolean;
  /** The push frame of a join or leave. */
  signal(frame: Parcel): void;
  /** The feed went on past something it could not deliver: read the log from where you stand. */
  skipped(): void;
}

/** All of one channel. They may come and go while they are called. */
export class Receivers {
  /** A single one has no set: there may be very many channels with one subscriber each. */
  #all: Receiver | Set<Receiver> | undefined;

  get size(): number {
    if (this.#all === undefined) return 0;
    return this.#all instanceof Set ? this.#all.size : 1;
  }

  [Symbol.iterator](): Iterator<Receiver> {
    if (this.#all === undefined) return [].values();
    return this.#all instanceof Set ? this.#all.values() : [this.#all].values();
  }

  add(receiver: Receiver): void {
    if (this.#all === undefined) this.#all = receiver;
    else if (this.#all instanceof Set) this.#all.add(receiver);
    else this.#all = new Set([this.#all, receiver]);
  }

  delete(receiver: Receiver): void {
    if (this.#all === receiver) this.#all = undefined;
    else if (this.#all instanceof Set && this.#all.delete(receiver) && this.#all.size === 0) this.#all = undefined;
  }

  /** Returns to how many connections the publication was handed. */
  offer(publication: SharedPublication): number {
    const all = this.#all;
    if (all === undefined) return 0;
    if (!(all instanceof Set)) return all.offer(publication) ? 1 : 0;
    let count = 0;
    for (const receiver of all) if (receiver.offer(publication)) count++;
    return count;
  }
}
