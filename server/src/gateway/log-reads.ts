/**
 * How much of a log is read at once, for all connections together. When all clients of a lost gateway come back, each asks for
 * what it missed: read all at once, large answers would lie in memory all at once. Whoever is not at its turn waits in the order of
 * asking, and holds nothing meanwhile that another waits for.
 */
import type { Log } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";

/** Of each log: one that does not answer keeps no reader of another waiting. */
const MOST_BYTES = 8 * 1024 * 1024;
/** What is expected of the first pieces of a log; later, what pieces were on average. */
const FIRST_BYTES = 32 * 1024;
/** Of the newest piece in that average. */
const WEIGHT = 0.1;

export class LogReads {
  readonly #clock: Clock;
  readonly #byLog = new WeakMap<Log, Turns>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `read` when it is its turn, and settles as it does. `bytes` says how large the piece is. */
  async run<T>(log: Log, read: () => Promise<T>, bytes: (piece: T) => number): Promise<T> {
    let turns = this.#byLog.get(log);
    if (!turns) this.#byLog.set(log, (turns = new Turns()));
    const turn = turns.take();
    if (turn) await turn;
    try {
      const piece = await read();
      turns.was(bytes(piece));
      return piece;
    } finally {
      // What was read is on its way to the clients at the end of this turn of the event loop.
      this.#clock.soon(() => turns.end());
    }
  }
}

class Turns {
  #underWay = 0;
  #expected = FIRST_BYTES;
  readonly #waiting: (() => void)[] = [];

  /** Resolves when it is the caller's turn; undefined: now. */
  take(): Promise<void> | undefined {
    if (this.#waiting.length > 0 || !this.#fits) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#underWay++;
    return undefined;
  }

  was(bytes: number): void {
    this.#expected += (bytes - this.#expected) * WEIGHT;
  }

  end(): void {
    this.#underWay--;
    while (this.#waiting.length > 0 && this.#fits) {
      this.#underWay++;
      this.#waiting.shift()?.();
    }
  }

  get #fits(): boolean {
    return this.#underWay === 0 || (this.#underWay + 1) * this.#expected <= MOST_BYTES;
  }
}
