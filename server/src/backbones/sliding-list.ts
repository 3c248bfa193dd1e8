/**
 * A list that grows at its end and shrinks at its beginning, both at constant cost on average. An array's own `splice(0, 1)`
 * moves everything behind it: on a channel of 10,000 messages that is what an append would cost.
 */
export class SlidingList<T> {
  #items: (T | undefined)[] = [];
  #start = 0;

  get length(): number {
    return this.#items.length - this.#start;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The item at an index from 0; undefined outside of the list. */
  at(index: number): T | undefined {
    return index < 0 ? undefined : this.#items[this.#start + index];
  }

  /** Removes the first item. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#start];
    this.#items[this.#start++] = undefined;
    // Moved together only once half of it is holes, so each item is moved once on average.
    if (this.#start * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#start);
      this.#start = 0;
    }
    return item;
  }
}
