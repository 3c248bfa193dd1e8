/** What happened in a simulated world, in order. Costs nothing unless somebody wants to read it. */
import type { VirtualTime } from "./virtual-time.ts";

/** What makes a message long says nothing. */
const PADDING = /x{9,}/g;

export class Journal {
  readonly #time: VirtualTime;
  readonly #write: ((line: string) => void) | undefined;

  constructor(time: VirtualTime, write: ((line: string) => void) | undefined) {
    this.#time = time;
    this.#write = write;
  }

  note(what: () => string): void {
    this.#write?.(`${(this.#time.age / 1000).toFixed(4).padStart(9)}  ${what().replaceAll(PADDING, "x…x")}`);
  }
}
