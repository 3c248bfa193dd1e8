/** What waits to be sent to one connection, and the flush that sends it: once per turn of the event loop, or less often. */
import type { Clock } from "../clock.ts";
import type { Backlog } from "./backlog.ts";
import { Parcel } from "./parcel.ts";
import type { Socket } from "./socket.ts";

/**
 * Where messages come faster than they can be written one by one, the next flush waits for so many times the last one's time.
 * A loop that only writes is never idle and sends few messages with each write, however fast it is: resting for as long as two flushes lets
 * thrice as many gather, takes a third of the processor, and a message is under way for no longer.
 */
const REST = 2;
/** Unless that was shorter: as the clock counts whole milliseconds, it may have been much less. */
const SHORT_MS = 2;
/** No message waits longer than this for others. */
const LONGEST_REST_MS = 20;
/** Of a write: more gathered in it would make it no cheaper. */
const LARGE_BYTES = 64 * 1024;

/** Collects the outboxes that were written to in this turn and flushes them all at its end, or a little later when much is to be written. */
export class Flusher {
  readonly #clock: Clock;
  readonly #backlog: Backlog;
  readonly #shed: () => void;
  #filled: Outbox[] = [];
  /** Whose socket did not get rid at once of what it was sent last. */
  #slow: Outbox[] = [];
  /** The next flush does not begin before this time. */
  #restsUntil = 0;

  /** `shed` is called when there is too much in the backlog: it brings it below its limit. */
  constructor(clock: Clock, backlog: Backlog, shed: () => void) {
    this.#clock = clock;
    this.#backlog = backlog;
    this.#shed = shed;
  }

  /** An outbox that was empty is not any longer. */
  begin(outbox: Outbox): void {
    if (this.#filled.push(outbox) === 1) this.#flushLater();
  }

  flush(): void {
    const filled = this.#filled;
    this.#filled = [];
    const begun = this.#clock.now();
    let frames = 0;
    let bytes = 0;
    for (const outbox of filled) {
      const sent = outbox.flush();
      outbox.checkRoom();
      frames += sent?.frames ?? 0;
      bytes += sent?.size ?? 0;
    }
    if (this.#backlog.isOver) this.#shed();
    this.#rest(begun, frames / filled.length, bytes / filled.length);
  }

  /**
   * The outbox's socket still holds what it was sent in this turn. That tells nothing yet: TLS always takes until the next one. What it holds then
   * waits for the client.
   */
  lookAt(outbox: Outbox): void {
    if (this.#slow.push(outbox) > 1) return;
    this.#clock.soon(() => {
      const slow = this.#slow;
      this.#slow = [];
      for (const each of slow) each.count();
      if (this.#backlog.isOver) this.#shed();
    });
  }

  #flushLater(): void {
    const left = Math.min(this.#restsUntil - this.#clock.now(), LONGEST_REST_MS);
    if (left > 0) this.#clock.after(left, () => this.flush());
    else this.#clock.soon(() => this.flush());
  }

  /** `framesEach` and `bytesEach` are what was written at once, on average. */
  #rest(begun: number, framesEach: number, bytesEach: number): void {
    if (framesEach < 2 || bytesEach > LARGE_BYTES) return;
    const ended = this.#clock.now();
    const took = ended - begun;
    if (took >= SHORT_MS) this.#restsUntil = ended + Math.min(REST * took, LONGEST_REST_MS);
  }
}

export interface OutboxOwner {
  /** There is room again, after `hasRoom` had answered no. */
  hasRoomAgain(): void;
}

/**
 * The queue of one connection, bounded in bytes. Whoever adds publications asks `hasRoom` first and falls back to the
 * log; answers to the client's own commands are always taken, and are bounded by the limits on commands.
 */
export class Outbox {
  readonly socket: Socket;
  readonly #flusher: Flusher;
  readonly #backlog: Backlog;
  readonly #limit: number;
  readonly #owner: OutboxOwner;
  #queued: Parcel | undefined;
  /** The socket did not get rid at once of what it was sent last: only then is it asked how much waits. */
  #stuck = false;
  #refused = false;
  /** What of the backlog is this one's, as last looked at: what the client had a turn to take, and did not. */
  #counted = 0;
  #gone = false;

  constructor(
    socket: Socket,
    { flusher, backlog }: { readonly flusher: Flusher; readonly backlog: Backlog },
    limitBytes: number,
    owner: OutboxOwner,
  ) {
    this.socket = socket;
    this.#flusher = flusher;
    this.#backlog = backlog;
    this.#limit = limitBytes;
    this.#owner = owner;
  }

  /** Bytes that wait here and in the socket. */
  get waitingBytes(): number {
    return (this.#queued?.size ?? 0) + (this.#stuck ? this.socket.bufferedBytes : 0);
  }

  /** Whether a publication may be added. After a no, the owner is told when there is room. */
  hasRoom(): boolean {
    if (this.waitingBytes < this.#limit && !this.#isPressed) return true;
    this.#refused = true;
    return false;
  }

  /** Far beyond the bound: the client asks more than it reads, and must go. */
  get overrun(): boolean {
    return this.waitingBytes > 4 * this.#limit;
  }

  /** To be called whenever bytes have left; half the bound must be free before publications are let in again. */
  checkRoom(): void {
    this.recount();
    if (!this.#refused || this.waitingBytes * 2 > this.#limit || this.#isPressed) return;
    this.#refused = false;
    this.#owner.hasRoomAgain();
  }

  /** Too much waits for all together, and something of it for this one. */
  get #isPressed(): boolean {
    return this.#counted > 0 && this.#backlog.isFull && this.#untakenBytes > 0;
  }

  /** Bytes that the system was offered, and did not take for the client takes none. */
  get #untakenBytes(): number {
    return this.#stuck ? this.socket.bufferedBytes - (this.socket.uncompressedBytes ?? 0) : 0;
  }

  /** Takes what waits in the socket into the backlog's count. */
  count(): void {
    const bytes = this.#untakenBytes;
    this.#backlog.grow(bytes - this.#counted);
    this.#counted = bytes;
  }

  /** Counts again what was counted before. Returns how many bytes are left of it. */
  recount(): number {
    if (this.#counted > 0) this.count();
    return this.#counted;
  }

  /** The socket is no more. */
  gone(): void {
    this.#gone = true;
    this.#stuck = false;
    this.count();
  }

  /** One reply or push; a parcel, if others are sent it as well. */
  push(frame: Parcel | string): void {
    const parcel = typeof frame === "string" ? new Parcel(frame) : frame;
    if (this.#queued === undefined) this.#flusher.begin(this);
    this.#queued = this.#queued?.with(parcel) ?? parcel;
  }

  /** Sends what is queued, now: at the end of the turn, or because the connection is about to be closed. Returns it. */
  flush(): Parcel | undefined {
    const queued = this.#queued;
    this.#queued = undefined;
    if (queued === undefined || this.#gone) return undefined;
    this.socket.send(queued);
    this.recount();
    this.#stuck = this.socket.bufferedBytes > 0;
    if (this.#stuck && this.#counted === 0) this.#flusher.lookAt(this);
    return queued;
  }
}
