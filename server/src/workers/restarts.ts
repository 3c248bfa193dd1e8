/** When a process that died is started again, and when that has no sense any more. */

const FIRST_MS = 100;
const LAST_MS = 10_000;
/** Whoever has lived so long has a fresh start. */
const LONG_LIFE_MS = 10_000;
/** So many starts in a row that came to nothing are enough. */
const MOST_FAILURES = 6;

export interface Life {
  readonly lastedMs: number;
  /** It had come to work. */
  readonly ready: boolean;
}

export class Restarts {
  #failures = 0;
  #delayMs = 0;

  /** How long to wait after a life that ended; undefined: it would only end again. */
  after({ lastedMs, ready }: Life): number | undefined {
    this.#failures = ready ? 0 : this.#failures + 1;
    if (this.#failures >= MOST_FAILURES) return undefined;
    if (ready && lastedMs >= LONG_LIFE_MS) this.#delayMs = 0;
    const delay = this.#delayMs;
    this.#delayMs = Math.min(LAST_MS, Math.max(FIRST_MS, delay * 2));
    return delay;
  }
}
