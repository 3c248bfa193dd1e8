/**
 * How many pieces of a log are read at once, for all connections together. When all clients of a lost gateway come back, each
 * asks for what it missed: read all at once, the answers would lie in memory all at once. Whoever is not at its turn waits in the
 * order of asking, and holds nothing meanwhile that another waits for.
 */
import type { Log } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";

/** Of one log: one that does not answer keeps no reader of another waiting. As a piece is at most 256 KB, they are 8 MB. */
const MOST = 32;

export class LogReads {
  readonly #clock: Clock;
  readonly #byLog = new Map<Log, Turns>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `read` when it is its turn, and settles as it does. */
  async run<T>(log: Log, read: () => Promise<T>): Promise<T> {
    let turns = this.#byLog.get(log);
    if (!turns) this.#byLog.set(log, (turns = { free: MOST, waiting: [] }));
    if (turns.free > 0) turns.free--;
    else await new Promise<void>((resolve) => turns.waiting.push(resolve));
    try {
      return await read();
    } finally {
      // What was read is on its way to the clients at the end of this turn, and the next is read in one after it.
      this.#clock.soon(() => this.#end(log, turns));
    }
  }

  #end(log: Log, turns: Turns): void {
    const next = turns.waiting.shift();
    if (next) next();
    else if (++turns.free === MOST) this.#byLog.delete(log);
  }
}

interface Turns {
  free: number;
  readonly waiting: (() => void)[];
}
