/**
 * Counts latencies in buckets that grow with them: every value is kept to 1/64 of itself, so that millions of deliveries
 * cost one addition each and a fixed piece of memory.
 */

const STEPS_BITS = 6;
/** Buckets of each power of two. */
const STEPS = 1 << STEPS_BITS;
/** Up to 2^40 µs, twelve days. */
const OCTAVES = 35;

export class LatencyHistogram {
  readonly #counts = new Float64Array(STEPS * (OCTAVES + 1));
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** In µs; 0 when there is none. */
  get max(): number {
    return this.#max;
  }

  /** @param us Microseconds; what clocks make negative counts as 0. */
  add(us: number): void {
    const value = us > 0 ? us : 0;
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    if (value > this.#max) this.#max = value;
  }

  /** The latency in µs that `share` (0 to 1) of the deliveries do not exceed, rounded up to its bucket's end. */
  at(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= rank) return Math.min(endOf(bucket), this.#max);
    }
    return 0;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}

function bucketOf(us: number): number {
  if (us < STEPS) return Math.floor(us);
  const octave = Math.floor(Math.log2(us)) - STEPS_BITS;
  const within = Math.floor(us / 2 ** octave) - STEPS;
  return Math.min((octave + 1) * STEPS + within, STEPS * (OCTAVES + 1) - 1);
}

function endOf(bucket: number): number {
  if (bucket < STEPS) return bucket + 1;
  const octave = Math.floor(bucket / STEPS) - 1;
  return (STEPS + (bucket % STEPS) + 1) * 2 ** octave;
}
