/** Acknowledgements of one subscription: cumulative, and gathered so that a fast handler does not ask too often. */
import { TodokuError, type Position } from "@todoku/protocol";
import type { Clock } from "./clock.ts";

/** Sends one acknowledgement. Rejects with why the server did not take it. */
export type SendAck = (position: Position) => Promise<unknown>;

const PAUSE_MS = 100;
/** After the server could not store one. */
const RETRY_MS = 1000;

export class Acks {
  readonly #clock: Clock;
  readonly #send: SendAck;
  /** This many handled messages are acknowledged without waiting for the pause to end. */
  readonly #batch: number;
  #due: Position | undefined;
  #sent: Position | undefined;
  #gathered = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #answer: Promise<void> = Promise.resolve();

  constructor(clock: Clock, inFlight: number, send: SendAck) {
    this.#clock = clock;
    this.#send = send;
    this.#batch = Math.max(1, Math.floor(inFlight / 2));
  }

  /** Everything up to `position` was handled. */
  advance(position: Position): void {
    if (position.epoch === this.#due?.epoch && position.offset <= this.#due.offset) return;
    this.#due = position;
    this.#gathered++;
    const wait = this.#sentAt + PAUSE_MS - this.#clock.now();
    if (wait <= 0 || this.#gathered >= this.#batch) this.flush();
    else this.#cancel ??= this.#clock.after(wait, () => this.flush());
  }

  /** Sends what is due, now. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const due = this.#due;
    if (!due || due === this.#sent) return;
    this.#sent = due;
    this.#gathered = 0;
    this.#sentAt = this.#clock.now();
    this.#answer = this.#send(due).then(
      () => {},
      (error: unknown) => this.#refused(due, error),
    );
  }

  /** Resolves when the last one sent was answered, or failed. */
  answered(): Promise<void> {
    return this.#answer;
  }

  /** On a new connection nothing is due yet. */
  reset(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#due = undefined;
    this.#sent = undefined;
    this.#gathered = 0;
  }

  /** Without this a lost acknowledgement would count as in flight for ever. */
  #refused(due: Position, error: unknown): void {
    if (due !== this.#sent || !(error instanceof TodokuError) || error.retry !== "retry") return;
    this.#sent = undefined;
    this.#cancel ??= this.#clock.after(RETRY_MS, () => this.flush());
  }
}
