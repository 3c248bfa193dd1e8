/** What waits to be sent to one connection, and the flush that sends it once per turn of the event loop. */
import type { Clock } from "../clock.ts";
import type { Socket } from "./socket.ts";

const NEWLINE = 0x0a;

/** Collects the outboxes that were written to in this turn and flushes them all at its end. */
export class Flusher {
  readonly #clock: Clock;
  #dirty: Outbox[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(outbox: Outbox): void {
    if (this.#dirty.push(outbox) === 1) this.#clock.soon(() => this.flush());
  }

  flush(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    // Subscribers of one hot channel have the same frames queued: join them once and share the result.
    let frames: readonly Uint8Array[] = [];
    let joined: Uint8Array = new Uint8Array();
    for (const outbox of dirty) {
      const queued = outbox.take();
      if (queued.length === 0) continue;
      if (!sameFrames(frames, queued)) {
        frames = queued;
        joined = join(queued);
      }
      outbox.socket.send(joined);
      outbox.checkRoom();
    }
  }
}

/**
 * The queue of one connection, bounded in bytes. Whoever adds publications asks `hasRoom` first and falls back to the
 * log; answers to the client's own commands are always taken, and are bounded by the limits on commands.
 */
export class Outbox {
  readonly socket: Socket;
  readonly #flusher: Flusher;
  readonly #limit: number;
  readonly #onRoom: () => void;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #refused = false;

  /** `onRoom` is called when there is room again after `hasRoom` had answered no. */
  constructor(socket: Socket, flusher: Flusher, limitBytes: number, onRoom: () => void) {
    this.socket = socket;
    this.#flusher = flusher;
    this.#limit = limitBytes;
    this.#onRoom = onRoom;
  }

  /** Bytes that wait here and in the socket. */
  get waitingBytes(): number {
    return this.#bytes + this.socket.bufferedBytes;
  }

  /** Whether a publication may be added. After a no, `onRoom` follows. */
  hasRoom(): boolean {
    if (this.waitingBytes < this.#limit) return true;
    this.#refused = true;
    return false;
  }

  /** Far beyond the bound: the client asks more than it reads, and must go. */
  get overrun(): boolean {
    return this.waitingBytes > 4 * this.#limit;
  }

  /** To be called whenever bytes have left; half the bound must be free before publications are let in again. */
  checkRoom(): void {
    if (!this.#refused || this.waitingBytes * 2 > this.#limit) return;
    this.#refused = false;
    this.#onRoom();
  }

  /** The bytes are shared: neither side may alter them. */
  push(frame: Uint8Array): void {
    if (this.#frames.length === 0) this.#flusher.add(this);
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** Hands over what is queued. */
  take(): readonly Uint8Array[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    return frames;
  }

  /** Sends what is queued now, for when the connection is about to be closed. */
  flush(): void {
    const frames = this.take();
    if (frames.length > 0) this.socket.send(join(frames));
  }
}

function sameFrames(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((frame, i) => frame === b[i]);
}

/** Several frames travel as one, a newline between. */
function join(frames: readonly Uint8Array[]): Uint8Array {
  const [first] = frames;
  if (first !== undefined && frames.length === 1) return first;
  const joined = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length + 1, -1));
  let at = 0;
  for (const frame of frames) {
    if (at > 0) joined[at++] = NEWLINE;
    joined.set(frame, at);
    at += frame.length;
  }
  return joined;
}
