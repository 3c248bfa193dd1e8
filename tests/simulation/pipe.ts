/** One direction of a connection: bytes leave at a rate, travel for a while, and arrive in order or not at all. */
import type { VirtualTime } from "./virtual-time.ts";

export interface PipeOptions<T> {
  /** How long the next frame travels. */
  latencyMs(): number;
  /** Infinite: frames leave at once and nothing is ever buffered. */
  readonly bytesPerMs: number;
  /** A whole frame. One that is cut off in its middle never arrives. */
  arrived(frame: T): void;
  /** The buffer is empty again. */
  drained(): void;
}

interface Sending<T> {
  readonly frame: T;
  readonly bytes: number;
}

export class Pipe<T> {
  readonly #time: VirtualTime;
  readonly #options: PipeOptions<T>;
  #bytesPerMs: number;
  #queue: Sending<T>[] = [];
  #buffered = 0;
  #sending = false;
  #stalledUntil = 0;
  #lastArrival = 0;
  #travelling = 0;
  #cut = false;

  constructor(time: VirtualTime, options: PipeOptions<T>) {
    this.#time = time;
    this.#options = options;
    this.#bytesPerMs = options.bytesPerMs;
  }

  /** Bytes that have not left yet. */
  get bufferedBytes(): number {
    return this.#buffered;
  }

  /** Frames that have begun to leave and have not wholly arrived. */
  get travelling(): number {
    return this.#travelling + (this.#sending ? 1 : 0);
  }

  send(frame: T, bytes: number): void {
    if (this.#cut) return;
    if (this.#queue.length === 0 && !this.#sending && this.#leavesAtOnce()) {
      this.#travel(frame);
      return;
    }
    this.#queue.push({ frame, bytes });
    this.#buffered += bytes;
    this.#sendNext();
  }

  /** Nothing leaves for `ms`: the other side does not read. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#time.now() + ms);
  }

  /** As fast as can be from now on. */
  widen(): void {
    this.#bytesPerMs = Number.POSITIVE_INFINITY;
  }

  /** Nothing arrives any more, also not what has left already. */
  cut(): void {
    this.#cut = true;
    this.#queue = [];
    this.#buffered = 0;
  }

  #leavesAtOnce(): boolean {
    return this.#bytesPerMs === Number.POSITIVE_INFINITY && this.#stalledUntil <= this.#time.now();
  }

  #sendNext(): void {
    const [next] = this.#queue;
    if (this.#sending || next === undefined) return;
    this.#sending = true;
    const wait = Math.max(0, this.#stalledUntil - this.#time.now());
    this.#time.after(wait + next.bytes / this.#bytesPerMs, () => {
      this.#sending = false;
      if (this.#cut) return;
      // Stalled meanwhile: the rest of it leaves later.
      if (this.#stalledUntil > this.#time.now()) return this.#sendNext();
      this.#queue.shift();
      this.#buffered -= next.bytes;
      this.#travel(next.frame);
      if (this.#buffered === 0) this.#options.drained();
      this.#sendNext();
    });
  }

  #travel(frame: T): void {
    const now = this.#time.now();
    this.#lastArrival = Math.max(this.#lastArrival, now + this.#options.latencyMs());
    this.#travelling++;
    this.#time.after(this.#lastArrival - now, () => {
      this.#travelling--;
      if (!this.#cut) this.#options.arrived(frame);
    });
  }
}
