/** What an acknowledged subscription has handed out and not heard of yet, and how often handling a message failed. */
import type { Position } from "@todoku/protocol";

/** A message whose handling failed. */
export interface Failure {
  readonly offset: number;
  /** The place before it. */
  readonly prev: number;
  /** How often handling it has failed, this time included. */
  readonly attempts: number;
}

export class UnderWay {
  readonly #limit: number;
  #acked: Position;
  /** In the order of the log; the place before each is the one before it here, and `#acked` before the first. */
  #offsets: number[] = [];
  /** Those of `#offsets` that nobody waits for any more, but that come after one that is still handled. */
  readonly #givenUp = new Set<number>();
  #attempts: number;
  /** The message that `#attempts` counts; undefined: the one right after `#acked`. */
  #failing: number | undefined;

  /** At most `limit` messages under way after `acked`; handling the first has failed `attempts` times before. */
  constructor(limit: number, acked: Position, attempts: number) {
    this.#limit = limit;
    this.#acked = acked;
    this.#attempts = attempts;
  }

  /** Everything up to here was handled. */
  get acked(): Position {
    return this.#acked;
  }

  /** How many more may be handed out. */
  get room(): number {
    return this.#limit - this.#offsets.length;
  }

  /** How often handling the message right after `acked` has failed. */
  get attempts(): number {
    const first = this.#failing === undefined || (this.#offsets[0] ?? this.#failing) === this.#failing;
    return first ? this.#attempts : 0;
  }

  /** Handling a message failed, and it was not acknowledged since. */
  get failing(): boolean {
    return this.#failing !== undefined;
  }

  handOut(offset: number): void {
    this.#offsets.push(offset);
  }

  /** Everything up to `offset` was handled. Returns whether that is news. */
  ack(offset: number): boolean {
    if (offset <= this.#acked.offset) return false;
    const later = this.#offsets.findIndex((handed) => handed > offset);
    this.#offsets.splice(0, later === -1 ? this.#offsets.length : later);
    let reached = offset;
    for (let next = this.#offsets[0]; next !== undefined && this.#givenUp.has(next); next = this.#offsets[0]) {
      reached = next;
      this.#offsets.shift();
    }
    for (const one of this.#givenUp) if (one <= reached) this.#givenUp.delete(one);
    this.#acked = { epoch: this.#acked.epoch, offset: reached };
    if (this.#failing === undefined || this.#failing <= reached) this.#forgetFailure();
    return true;
  }

  /** Handling failed: the message and all after it are no longer under way. Returns undefined if it was not. */
  fail(offset: number): Failure | undefined {
    const at = this.#offsets.indexOf(offset);
    if (at === -1 || this.#givenUp.has(offset)) return undefined;
    const counted = this.#failing === undefined ? at === 0 : this.#failing === offset;
    this.#attempts = counted ? this.#attempts + 1 : 1;
    this.#failing = offset;
    this.#offsets.length = at;
    for (const one of this.#givenUp) if (one > offset) this.#givenUp.delete(one);
    return { offset, prev: this.#offsets[at - 1] ?? this.#acked.offset, attempts: this.#attempts };
  }

  /** The failed message went to the dead letters: it counts as handled, once those before it are. */
  giveUp(offset: number): void {
    this.#forgetFailure();
    if (this.#offsets.length === 0) {
      this.#acked = { epoch: this.#acked.epoch, offset };
    } else {
      this.#offsets.push(offset);
      this.#givenUp.add(offset);
    }
  }

  /** What came before `position` is of another epoch. */
  beginAt(position: Position): void {
    this.#acked = position;
    this.#offsets = [];
    this.#givenUp.clear();
    this.#forgetFailure();
  }

  #forgetFailure(): void {
    this.#attempts = 0;
    this.#failing = undefined;
  }
}
