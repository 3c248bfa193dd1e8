/** A table in memory. Most of what a queue writes goes to its end and leaves from its front, both of which are cheap here. */
import type { Table, TableRange } from "./tables.ts";

type Key = string | readonly (string | number)[];

export class SortedTable<K extends Key, V> implements Table<K, V> {
  #rows: { key: K; value: V }[] = [];

  get(key: K): V | undefined {
    const row = this.#rows[this.#at(key)];
    return row && compare(row.key, key) === 0 ? row.value : undefined;
  }

  doesExist(key: K): boolean {
    return this.get(key) !== undefined;
  }

  putSync(key: K, value: V): void {
    const at = this.#at(key);
    const row = this.#rows[at];
    if (row && compare(row.key, key) === 0) row.value = value;
    else this.#rows.splice(at, 0, { key, value });
  }

  removeSync(key: K): void {
    const at = this.#at(key);
    const row = this.#rows[at];
    if (row && compare(row.key, key) === 0) this.#rows.splice(at, 1);
  }

  getRange({ start, end, limit = Number.POSITIVE_INFINITY }: TableRange<K>): { key: K; value: V }[] {
    const from = this.#at(start);
    return this.#rows.slice(from, Math.min(this.#at(end), from + limit));
  }

  getKeysCount({ start, end }: TableRange<K>): number {
    return Math.max(0, this.#at(end) - this.#at(start));
  }

  /** All rows, in order; a copy. */
  entries(): readonly (readonly [K, V])[] {
    return this.#rows.map(({ key, value }) => [key, value] as const);
  }

  /** Where the key is, or would be. */
  #at(key: K): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = this.#rows[middle];
      if (row && compare(row.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compare(left: Key, right: Key): number {
  if (typeof left === "string" || typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  for (const [i, part] of left.entries()) {
    const other = right[i];
    if (other === undefined || part > other) return 1;
    if (part < other) return -1;
  }
  return left.length - right.length;
}
