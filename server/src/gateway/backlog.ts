/**
 * What waits to be sent to all connections together, and its bound. Each has a bound of its own, but with many that do not read
 * those add up to more than a process has. Once the bound is reached, connections that have not taken what they were sent before
 * get no further publications: they read the log later, or are told what they missed. Those who read notice nothing.
 */

/** Answers are sent all the same, and so is the first that somebody does not take. Beyond so much more, connections are cut. */
const OVER = 1.25;

export class Backlog {
  /** In bytes; what is shared counts for each connection that it waits for. */
  readonly limit: number;
  #bytes = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get isFull(): boolean {
    return this.#bytes >= this.limit;
  }

  /** So much that only fewer connections help. */
  get isOver(): boolean {
    return this.#bytes > this.limit * OVER;
  }

  /** So many bytes more wait, or less. */
  grow(bytes: number): void {
    this.#bytes += bytes;
  }
}
