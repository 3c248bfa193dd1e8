/** Counts in a field of its own, and adds that to a counter of prom-client when the metrics are read: an addition there costs as much as a delivery. */
import type { Counter } from "prom-client";

export class Tally {
  readonly #counter: Counter.Internal;
  #pending = 0;

  constructor(counter: Counter.Internal) {
    this.#counter = counter;
  }

  add(count = 1): void {
    this.#pending += count;
  }

  /** Before the counter is read. */
  settle(): void {
    if (this.#pending === 0) return;
    this.#counter.inc(this.#pending);
    this.#pending = 0;
  }
}
