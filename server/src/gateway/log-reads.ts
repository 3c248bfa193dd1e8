/**
 * How much of a log is read at once, for all connections together. When all clients of a lost gateway come back, each asks for
 * what it missed: read all at once, large answers would lie in memory all at once. Whoever is not at its turn waits in the order of
 * asking, and holds nothing meanwhile that another waits for.
 *
 * A log in this process answers within the turn of the event loop that asks it. There it is the turn that has to be short: libuv
 * takes in one new connection in each, and those that find no place in the system's queue come again after a second, then two, then four.
 */
import type { Log } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";

// Both of each log: one that does not answer keeps no reader of another waiting.
/** Under way. */
const MOST_BYTES = 8 * 1024 * 1024;
/** Begun to be read in one turn of the event loop: about a millisecond's work. */
const TURN_BYTES = 128 * 1024;
/** What is expected of the first pieces of a log; later, what pieces were on average. */
const FIRST_BYTES = 32 * 1024;
/** What a piece counts for, however little was in it. */
const LEAST_BYTES = 1024;
/** Of the newest piece in that average. */
const WEIGHT = 0.1;

export class LogReads {
  readonly #clock: Clock;
  readonly #byLog = new WeakMap<Log, Turns>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it is the caller's turn to read a piece; undefined: it is now. Whoever had it says so with `done`. */
  take(log: Log): Promise<void> | undefined {
    return this.#turnsOf(log).take();
  }

  /** Gives the turn back. `bytes` says how large the piece was; undefined: none was read. */
  done(log: Log, bytes?: number): void {
    const turns = this.#turnsOf(log);
    if (bytes !== undefined) turns.was(bytes);
    // What was read is on its way to the clients at the end of this turn of the event loop.
    this.#clock.soon(() => turns.end());
  }

  #turnsOf(log: Log): Turns {
    let turns = this.#byLog.get(log);
    if (!turns) this.#byLog.set(log, (turns = new Turns(this.#clock)));
    return turns;
  }
}

class Turns {
  readonly #clock: Clock;
  #underWay = 0;
  /** In this turn of the event loop. */
  #begun = 0;
  #expected = FIRST_BYTES;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(): Promise<void> | undefined {
    if (this.#waiting.length > 0 || !this.#fits) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#begin();
    return undefined;
  }

  was(bytes: number): void {
    this.#expected += (Math.max(bytes, LEAST_BYTES) - this.#expected) * WEIGHT;
  }

  end(): void {
    this.#underWay--;
    this.#goOn();
  }

  #begin(): void {
    this.#underWay++;
    if (this.#begun++ > 0) return;
    this.#clock.soon(() => {
      this.#begun = 0;
      this.#goOn();
    });
  }

  #goOn(): void {
    while (this.#waiting.length > 0 && this.#fits) {
      this.#begin();
      this.#waiting.shift()?.();
    }
  }

  /** One more. Larger than all together may be, it is read alone. */
  get #fits(): boolean {
    return this.#leaves(this.#underWay, MOST_BYTES) && this.#leaves(this.#begun, TURN_BYTES);
  }

  /** Whether beside so many there is room for one. */
  #leaves(others: number, most: number): boolean {
    return others === 0 || (others + 1) * this.#expected <= most;
  }
}
