/** What is to hold for as long as there is a connection, by name: channels that are listened to, queues that are watched. */
import type { Link } from "./link.ts";
import type { Standing } from "./wire.ts";

export class Wishes {
  readonly #link: Link;
  readonly #begin: Standing;
  readonly #end: Standing;
  readonly #held = new Map<string, Promise<void>>();

  constructor(link: Link, begin: Standing, end: Standing) {
    this.#link = link;
    this.#begin = begin;
    this.#end = end;
  }

  get names(): Iterable<string> {
    return this.#held.keys();
  }

  /** Resolves when it holds. Rejects, and wishes it no longer, when it does not come to. */
  add(name: string): Promise<void> {
    const known = this.#held.get(name);
    if (known) return known;
    const held = this.#link.call<void>(this.#begin, name);
    this.#held.set(name, held);
    held.catch(() => {
      if (this.#held.get(name) === held) this.#held.delete(name);
    });
    return held;
  }

  async remove(name: string): Promise<void> {
    if (!this.#held.delete(name)) return;
    // Where the connection is gone, so is what held.
    await this.#link.call(this.#end, name).catch(() => {});
  }

  /** Says all of them again, on a new connection. */
  async again(): Promise<void> {
    await Promise.all([...this.#held.keys()].map((name) => this.#link.call(this.#begin, name)));
  }
}
