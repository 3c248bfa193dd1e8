/**
 * What has arrived for one subscription and was not handled yet, in order. It knows the three positions that everything else
 * is decided by: what was handled, what is queued, and what the server has sent on the present connection.
 */
import {
  inEpoch,
  RecentIds,
  sharedHistory,
  type Epoch,
  type Gap as WireGap,
  type Position,
  type Publication,
} from "@todoku/protocol";
import { messageOf, type Gap, type Message } from "./message.ts";

/** What stands in the queue: a message, or a gap. */
export interface Item<Data> {
  readonly message: Message<Data> | undefined;
  readonly gap: Gap | undefined;
  /** Where the subscription stands when this is done; absent on channels without a log. */
  readonly position: Position | undefined;
  readonly size: number;
  /** Which subscribe it came after. */
  readonly round: number;
}

/** An item, and what waits behind it: a list costs a message nothing more, an array would be made anew for each that comes alone. */
interface Queued<Data> extends Item<Data> {
  position: Position | undefined;
  next: Queued<Data> | undefined;
}

/** A publication was `taken`; was `known` already; or does not follow what is queued: messages are missing (`hole`). */
export type Outcome = "taken" | "known" | "hole";

/** Most messages that wait, and most characters of them (roughly). */
export const MOST_WAITING = 1000;
const MOST_CHARACTERS = 4 * 1024 * 1024;

export class Inbox<Data> {
  readonly #channel: string;
  #first: Queued<Data> | undefined;
  #last: Queued<Data> | undefined;
  #length = 0;
  /** Characters, of all that wait. */
  #size = 0;
  #round = 0;
  #handled: Position | undefined;
  #queued: Position | undefined;
  #sent: Position | undefined;
  #rewound = false;
  /** What shows a repeat on a channel without a log. */
  readonly #recent = new RecentIds();

  constructor(channel: string) {
    this.#channel = channel;
  }

  /** Everything up to it was handled. */
  get handled(): Position | undefined {
    return this.#handled;
  }

  /** Everything up to it was handled or is queued. */
  get queued(): Position | undefined {
    return this.#queued;
  }

  get full(): boolean {
    return this.#length > MOST_WAITING || this.#size > MOST_CHARACTERS;
  }

  /** Low enough to ask for more after it was full. */
  get drained(): boolean {
    return this.#length <= MOST_WAITING / 4 && this.#size <= MOST_CHARACTERS / 4;
  }

  /** How many subscribes were answered. */
  get round(): number {
    return this.#round;
  }

  /** Whether what the server sends is of the position's epoch: what is of an older one it cannot send again. */
  receivesIn({ epoch }: Position): boolean {
    return this.#sent?.epoch === epoch;
  }

  /** What may be acknowledged: handled, and sent on the present connection. */
  get acknowledgeable(): Position | undefined {
    const handled = this.#handled;
    const sent = this.#sent;
    if (!handled || handled.epoch !== sent?.epoch) return undefined;
    return handled.offset < sent.offset ? handled : sent;
  }

  /** A position from a cursor store. */
  restore(position: Position): void {
    this.#handled = position;
    this.#queued = position;
  }

  /**
   * A subscribe was answered: what follows comes after `position` (absent: the channel keeps no log). `byCursor`: it is the
   * durable cursor, which may be behind what this client handled, or ahead if another one took over meanwhile. `forks` are
   * the older epochs that the present one goes on with.
   */
  begin(position: Position | undefined, byCursor: boolean, forks: readonly Position[] = []): void {
    this.#round++;
    this.#rewound = false;
    this.#sent = position;
    if (position) this.#rename({ epoch: position.epoch, forks });
    const queued = this.#queued;
    if (!position) {
      this.#queued = undefined;
    } else if (!queued) {
      this.#queued = position;
      this.#handled ??= position;
    } else if (queued.epoch !== position.epoch || queued.offset < position.offset) {
      if (!byCursor) return this.#begunElsewhere(queued, position);
      if (isLost(queued, position, forks)) return this.#goOnWhereShared(queued, position, forks);
      // Acknowledged by another client meanwhile: it is nobody's gap.
      this.#queued = position;
      if (this.#handled?.epoch === position.epoch) this.#handled = position;
    }
  }

  receive(publication: Publication, size: number): Outcome {
    const { offset, prev, id } = publication;
    const queued = this.#queued;
    if (offset === undefined || !queued) {
      if (id !== undefined && !this.#recent.admit(id)) return "known";
      this.#push(messageOf(this.#channel, publication, undefined), undefined, undefined, size);
      return "taken";
    }
    const position = { epoch: queued.epoch, offset };
    this.#sent = position;
    if (offset <= queued.offset) return "known";
    // After a failed message everything from it on comes again; what was under way before that is not wanted.
    if (prev !== undefined && prev > queued.offset) return this.#rewound ? "known" : "hole";
    this.#rewound = false;
    this.#queued = position;
    this.#push(messageOf(this.#channel, publication, queued.epoch), undefined, position, size);
    return "taken";
  }

  /** A gap takes its place in the queue, unless it is about what was handled already. */
  receiveGap(gap: WireGap): void {
    const queued = this.#queued;
    if (!queued || gap.reason === "dropped") return this.#pushGap(gap, undefined);
    const { from, to, reason, epoch = queued.epoch } = gap;
    const anew = epoch !== queued.epoch;
    const rewritten = reason === "epoch" && !anew;
    // As with messages: what was under way before the failure does not follow what is waited for.
    if (this.#rewound && !anew && !rewritten && from > queued.offset + 1) return;
    this.#rewound = false;
    this.#sent = { epoch, offset: to };
    if (!anew && !rewritten && to <= queued.offset) return;
    // A cursor of an older epoch: the store may know of messages that were handled in this one.
    const known = anew && this.#handled?.epoch === epoch ? this.#handled.offset : 0;
    const position = { epoch, offset: Math.max(to, known) };
    this.#queued = position;
    this.#pushGap({ ...gap, from: anew || rewritten ? from : Math.max(from, queued.offset + 1) }, position);
  }

  /** The next to be handled. */
  take(): Item<Data> | undefined {
    const item = this.#first;
    if (!item) return undefined;
    this.#first = item.next;
    if (!item.next) this.#last = undefined;
    // An old item would keep alive, for the collector of young ones, all that came behind it.
    item.next = undefined;
    this.#length--;
    this.#size -= item.size;
    return item;
  }

  /** What was taken is done. */
  done({ position, gap }: Item<Data>): void {
    if (!position) return;
    const handled = this.#handled;
    // Only a gap leads back: when the log has lost what was handled.
    if (!gap && handled?.epoch === position.epoch && handled.offset > position.offset) return;
    this.#handled = position;
  }

  /** Handling what was taken failed, and it will come again: forget it, and all that is queued behind it. */
  rewind(): void {
    this.#clear();
    this.#queued = this.#handled;
    this.#rewound = true;
  }

  /** Drops what is queued, but not what was taken and is being handled; it is asked for again from what was `handled`. */
  forgetQueued(taken: Item<Data> | undefined): void {
    this.#clear();
    this.#queued = taken?.position ?? this.#handled;
  }

  /** On a channel without a log nothing can be asked for again: drops the oldest and says so. */
  dropOldest(): void {
    const told = this.#first?.gap;
    const dropped = told?.reason === "dropped" ? told.to : 0;
    if (dropped > 0) this.take();
    this.take();
    const gap: Gap = { channel: this.#channel, from: 0, to: dropped + 1, reason: "dropped" };
    this.#first = { message: undefined, gap, position: undefined, size: 0, round: this.#round, next: this.#first };
    this.#last ??= this.#first;
    this.#length++;
  }

  /** Positions of an older epoch whose history the present one shares have their offset in the present one. */
  #rename(present: Epoch): void {
    const renamed = (position: Position): Position => inEpoch(position, present) ?? position;
    if (this.#handled) this.#handled = renamed(this.#handled);
    if (this.#queued) this.#queued = renamed(this.#queued);
    for (let item = this.#first; item; item = item.next) item.position &&= renamed(item.position);
  }

  #begunElsewhere(queued: Position, { epoch, offset }: Position): void {
    this.#sent = queued;
    const reason = epoch === queued.epoch ? "retention" : "epoch";
    this.receiveGap({ from: queued.offset + 1, to: offset, reason, epoch });
  }

  /** The log has lost what was handled, and with it that the cursor had come so far: the server knows of no gap. */
  #goOnWhereShared(queued: Position, position: Position, forks: readonly Position[]): void {
    const { epoch } = position;
    const shared = sharedHistory(queued, { epoch, forks });
    this.receiveGap({ from: shared + 1, to: Math.max(shared, position.offset), reason: "epoch", epoch });
    this.#sent = position;
  }

  #pushGap(gap: WireGap, position: Position | undefined): void {
    this.#push(undefined, { ...gap, channel: this.#channel }, position, 0);
  }

  #push(message: Message<Data> | undefined, gap: Gap | undefined, position: Position | undefined, size: number): void {
    const item: Queued<Data> = { message, gap, position, size, round: this.#round, next: undefined };
    if (this.#last) this.#last.next = item;
    else this.#first = item;
    this.#last = item;
    this.#length++;
    this.#size += size;
  }

  #clear(): void {
    this.#first = undefined;
    this.#last = undefined;
    this.#length = 0;
    this.#size = 0;
  }
}

/** Whether a position means nothing in the epoch of the cursor, which is the present one: of an older cursor the server tells the gap itself. */
function isLost(position: Position, cursor: Position, forks: readonly Position[]): boolean {
  return forks.length > 0 && position.epoch !== cursor.epoch && forks.every(({ epoch }) => epoch !== cursor.epoch);
}
