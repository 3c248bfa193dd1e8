/** The idempotency keys of channels and queues, and when each is forgotten. No channel has a queue's name. */
import type { Database, RootDatabase } from "lmdb";

export class KeyRows {
  /** `[channel or queue, key]` → `[offset, until]`. */
  readonly #keys: Database<[number, number], [string, string]>;
  /** `[until, channel or queue, key]`: in the order in which they are forgotten. */
  readonly #expiries: Database<true, [number, string, string]>;

  constructor(root: RootDatabase<unknown, string>) {
    this.#keys = root.openDB({ name: "keys" });
    this.#expiries = root.openDB({ name: "expiries" });
  }

  get tables(): readonly Pick<Database, "getStats" | "getCount">[] {
    return [this.#keys, this.#expiries];
  }

  /** The offset of what was stored with the key; undefined if that is unknown, or its window is over. */
  find(where: string, key: string, now: number): number | undefined {
    const [offset, until] = this.#keys.get([where, key]) ?? [0, 0];
    return until > now ? offset : undefined;
  }

  /** `until`: the end of its window, in ms since 1970. */
  remember(where: string, key: string, offset: number, until: number): void {
    this.#keys.putSync([where, key], [offset, until]);
    this.#expiries.putSync([until, where, key], true);
  }

  /** Whether some window is over; only reads. */
  isAnyOver(now: number): boolean {
    for (const _ of this.#expiries.getKeys({ end: [now, "", ""], limit: 1 })) return true;
    return false;
  }

  /** Forgets the keys whose window is over, at most `most`; returns how many. */
  sweep(now: number, most: number): number {
    const over = Array.from(this.#expiries.getKeys({ end: [now, "", ""], limit: most }));
    for (const expiry of over) {
      const [until, where, key] = expiry;
      this.#expiries.removeSync(expiry);
      // A key that was stored again since has a later end.
      if (this.#keys.get([where, key])?.[1] === until) this.#keys.removeSync([where, key]);
    }
    return over.length;
  }
}
