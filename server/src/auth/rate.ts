/** Token buckets by key (a connection, a user, an address): so many operations per period, with a burst of one period. */
import type { Clock } from "../clock.ts";
import type { Rate } from "../units.ts";

interface Bucket {
  tokens: number;
  at: number;
}

/** Buckets beyond this number are looked through for full ones, which say nothing and can go. */
const SWEEP_AT = 10_000;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #rate: Rate | undefined;
  readonly #buckets = new Map<string, Bucket>();
  #sweepAt = SWEEP_AT;

  /** Without a rate everything is allowed. */
  constructor(clock: Clock, rate: Rate | undefined) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Takes `cost` tokens of the key's bucket, or returns false and takes none. */
  take(key: string, cost = 1): boolean {
    const rate = this.#rate;
    if (!rate) return true;
    const now = this.#clock.now();
    let bucket = this.#buckets.get(key);
    if (bucket) {
      const refill = (Math.max(0, now - bucket.at) * rate.count) / rate.perMs;
      bucket.tokens = Math.min(rate.count, bucket.tokens + refill);
      // A clock that went back gives nothing away when it comes forward again.
      bucket.at = Math.max(bucket.at, now);
    } else {
      if (this.#buckets.size >= this.#sweepAt) this.#sweep(now, rate);
      bucket = { tokens: rate.count, at: now };
      this.#buckets.set(key, bucket);
    }
    if (bucket.tokens < cost) return false;
    bucket.tokens -= cost;
    return true;
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  forget(key: string): void {
    this.#buckets.delete(key);
  }

  #sweep(now: number, rate: Rate): void {
    for (const [key, { at }] of this.#buckets) if (now - at >= rate.perMs) this.#buckets.delete(key);
    this.#sweepAt = Math.max(SWEEP_AT, this.#buckets.size * 2);
  }
}
