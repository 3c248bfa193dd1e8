/** Time that moves only when everything that could happen at its present instant has happened. */
import type { Clock } from "../../server/src/clock.ts";
import type { Dice } from "./dice.ts";

interface Happening {
  readonly at: number;
  readonly order: number;
  /** Undefined once cancelled. */
  run: (() => void) | undefined;
}

const BEGIN = Date.UTC(2026, 0, 1);

export class VirtualTime {
  #now = BEGIN;
  #order = 0;
  #happened = 0;
  /** A binary heap: the earliest first, and of those the one that was asked for first. */
  readonly #heap: Happening[] = [];
  #held: Promise<unknown> | undefined;

  /** Milliseconds since 1970, with fractions. */
  now(): number {
    return this.#now;
  }

  /** Milliseconds since the world began. */
  get age(): number {
    return this.#now - BEGIN;
  }

  /** How many happenings there were. */
  get happened(): number {
    return this.#happened;
  }

  /** Calls back after `ms`; the returned function cancels. */
  after(ms: number, run: () => void): () => void {
    const happening: Happening = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#push(happening);
    return () => {
      happening.run = undefined;
    };
  }

  /** Stands still until `work` is done: for the little that takes real time, such as opening a file. */
  hold(work: Promise<unknown>): void {
    const before = this.#held;
    this.#held = before ? Promise.all([before, work]) : work;
  }

  /** Moves on by `ms`. Rejects with what a happening throws. */
  run(ms: number): Promise<void> {
    const end = this.#now + ms;
    return new Promise((resolve, reject) => {
      const step = (): void => {
        if (this.#held) {
          const held = this.#held;
          this.#held = undefined;
          held.then(() => setImmediate(step), reject);
          return;
        }
        const next = this.#pop(end);
        if (!next) {
          this.#now = end;
          resolve();
          return;
        }
        this.#now = next.at;
        this.#happened++;
        try {
          next.run?.();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        // Before the event loop's next turn all promises have settled that can settle: no more has to be waited for.
        setImmediate(step);
      };
      setImmediate(step);
    });
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(happening);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (!above || !earlier(happening, above)) break;
      heap[at] = above;
      heap[parent] = happening;
      at = parent;
    }
  }

  /** The next happening that was not cancelled, if it is due by `end`. */
  #pop(end: number): Happening | undefined {
    for (let first = this.#heap[0]; first && first.at <= end; first = this.#heap[0]) {
      this.#removeFirst();
      if (first.run) return first;
    }
    return undefined;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    heap[0] = last;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const child = right && left && earlier(right, left) ? 2 * at + 2 : 2 * at + 1;
      const below = heap[child];
      if (!below || !earlier(below, last)) return;
      heap[at] = below;
      heap[child] = last;
      at = child;
    }
  }
}

function earlier(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** How long a turn of a simulated process's event loop takes: what happens within it ends with its `soon` callbacks. */
const TURN_MS = 0.1;

/** The clock of one simulated process, for the gateway as for the SDK. When the process dies its timers die with it. */
export class ProcessClock implements Clock {
  readonly #time: VirtualTime;
  readonly #dice: Dice;
  #alive = true;
  #waiting = 0;

  constructor(time: VirtualTime, dice: Dice) {
    this.#time = time;
    this.#dice = dice;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#waiting;
  }

  die(): void {
    this.#alive = false;
  }

  now(): number {
    return Math.floor(this.#time.now());
  }

  after(ms: number, callback: () => void): () => void {
    if (!this.#alive) return () => {};
    this.#waiting++;
    let waits = true;
    const end = (): void => {
      if (waits) this.#waiting--;
      waits = false;
    };
    const cancel = this.#time.after(ms, () => {
      end();
      if (this.#alive) callback();
    });
    return () => {
      end();
      cancel();
    };
  }

  soon(callback: () => void): void {
    this.#time.after(TURN_MS, () => {
      if (this.#alive) callback();
    });
  }

  /** Resolves after `ms`, never if the process dies before. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  random(): number {
    return this.#dice.next();
  }

  uuid(): string {
    let hex = "";
    while (hex.length < 32)
      hex += Math.floor(this.#dice.next() * 65_536)
        .toString(16)
        .padStart(4, "0");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}
