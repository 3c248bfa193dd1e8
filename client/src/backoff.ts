/** How long to wait before trying again. */
import type { Clock } from "./clock.ts";

/** The first and the longest delay, in milliseconds. */
export interface BackoffRange {
  readonly firstMs: number;
  readonly lastMs: number;
}

export class Backoff {
  readonly #clock: Clock;
  readonly #range: BackoffRange;

  constructor(clock: Clock, range: BackoffRange) {
    this.#clock = clock;
    this.#range = range;
  }

  /** The delay before retry `n` (counted from 0): doubling, up to the longest. */
  delay(n: number): number {
    const { firstMs, lastMs } = this.#range;
    return Math.min(lastMs, firstMs * 2 ** n);
  }

  /** Anything from nothing to `delay(n)`, so that clients that lost the same gateway do not come back all at once. */
  jittered(n: number): number {
    return this.#clock.random() * this.delay(n);
  }
}
