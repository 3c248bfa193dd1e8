/**
 * Stands beside one subscriber and compares what it is given, at the moment it is given, with what the log took. It knows
 * nothing of gateways: only where the subscriber stands and what must come next.
 */
import type { Gap, Position } from "@todoku/protocol";
import type { Findings, Promised } from "./findings.ts";
import type { Chapter, Entry, Ledger } from "./ledger.ts";
import type { Received, Watch, Watcher } from "./subscriber.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What those who read under one name have come to together: a durable subscription goes from device to device. */
export interface Trail {
  /** The furthest that was handled, or told as missing. */
  reached: Position | undefined;
  /** What is at or below it must never be handed out again. */
  sure: Position | undefined;
  /** How often handling failed, by place. */
  readonly failures: Map<string, number>;
  /** The furthest in each epoch. */
  readonly offsets: Map<string, number>;
  /** Who reads under this name. */
  readonly readers: Set<string>;
}

export function newTrail(): Trail {
  return { reached: undefined, sure: undefined, failures: new Map(), offsets: new Map(), readers: new Set() };
}

export interface WitnessOptions {
  readonly name: string;
  readonly channel: string;
  /** Where the subscriber begins when nothing is remembered of it. */
  readonly start: "new" | "earliest";
  /** It keeps the last handled position by itself. */
  readonly stores: boolean;
  /** Of a durable subscription, whose cursor may lag behind what was handled. */
  readonly trail?: Trail;
  /** Failures after which a message is given up. */
  readonly maxAttempts: number;
  /** Nothing goes wrong: what is said last, before a subscription is closed, arrives. */
  readonly calm: boolean;
  /** Whether the message at this place lies among the dead letters. */
  readonly isDeadLetter: (epoch: string, offset: number) => boolean;
}

/** One subscriber through all its lives. */
export class Witness implements Watcher {
  readonly options: WitnessOptions;
  readonly ledger: Ledger;
  readonly time: VirtualTime;
  /** The last handled position, if the subscriber keeps it. */
  stored: Position | undefined;
  readonly #findings: Findings;

  constructor(options: WitnessOptions, world: { ledger: Ledger; time: VirtualTime; findings: Findings }) {
    this.options = options;
    this.ledger = world.ledger;
    this.time = world.time;
    this.#findings = world.findings;
  }

  /** A new subscription of this subscriber, by a process that knows only what was kept. */
  begin(): Life {
    return new Life(this, this.options.trail ?? newTrail());
  }

  find(rule: Promised, detail: string): void {
    this.#findings.add(rule, `${this.options.name} on ${this.options.channel}: ${detail}`);
  }

  chapter(epoch: string): Chapter {
    return this.ledger.chapter(this.options.channel, epoch);
  }
}

/** From one subscribe to its end. */
export class Life implements Watch {
  /** Everything up to here was handled or told as missing; undefined before the first message. */
  #moved: Position | undefined;
  /** Where the log stood when the subscription was ready. */
  #ready: Position | undefined;
  readonly #witness: Witness;
  readonly #trail: Trail;
  readonly #bornIn: string;

  constructor(witness: Witness, trail: Trail) {
    this.#witness = witness;
    this.#trail = trail;
    this.#bornIn = witness.ledger.epoch;
    trail.readers.add(witness.options.name);
  }

  /** Where it stands: what was kept counts until the first message, for an earlier life may still be ending. */
  get #at(): Position | undefined {
    return this.#moved ?? (this.#witness.options.trail ? undefined : this.#witness.stored);
  }

  /** The subscription has been made. */
  ready(): void {
    const { ledger } = this.#witness;
    if (this.#ready) return;
    this.#ready = { epoch: ledger.epoch, offset: this.#witness.chapter(ledger.epoch).head };
  }

  /** A handler begins with this message. */
  begun(message: Received): void {
    const { offset, epoch } = message;
    if (offset === undefined || epoch === undefined) {
      this.#witness.find("I5", `a message without a position: ${JSON.stringify(message.data)}`);
      return;
    }
    this.#checkContent(message, { epoch, offset });
    this.#checkPlace({ epoch, offset });
  }

  /** A handler has finished with it. */
  finished({ epoch = "", offset = 0 }: Received): void {
    this.#moveTo({ epoch, offset });
  }

  failed({ epoch = "", offset = 0 }: Received): void {
    const place = `${epoch}/${offset}`;
    const { failures } = this.#trail;
    failures.set(place, (failures.get(place) ?? 0) + 1);
  }

  gap({ from, to, reason, epoch = this.#at?.epoch ?? "" }: Gap): void {
    const witness = this.#witness;
    const at = this.#at ?? (this.#beginsIn(epoch) ? undefined : this.#trail.reached);
    if (reason === "epoch") this.#checkEpochGap(at, epoch, to);
    else if (reason === "retention") this.#checkGone(at, epoch, from, to);
    else if (reason === "failed") this.#checkGivenUp(epoch, from, to);
    else witness.find("I6", `a gap ${from}..${to} of reason ${reason} on a channel with a log`);
    // A gap of an epoch in which the subscriber has handled something already leads no further back than that.
    const { stored } = witness;
    this.#moveTo({ epoch, offset: Math.max(to, stored?.epoch === epoch ? stored.offset : 0) });
  }

  /** Closed in good order: what was handled is remembered, if the last acknowledgement could arrive, and was not too late. */
  closed(connected: boolean): void {
    const alone = this.#trail.readers.size === 1;
    if (this.#at && connected && alone && this.#witness.options.calm) this.#trail.sure = this.#at;
  }

  /** Everything there is must have come. */
  mustBeComplete(): void {
    const witness = this.#witness;
    const { epoch } = witness.ledger;
    const at = this.#at ?? this.#ready;
    if (!at) {
      witness.find("I10", "was never subscribed");
      return;
    }
    const chapter = witness.chapter(epoch);
    if (at.epoch !== epoch && chapter.head === 0) return;
    if (at.epoch !== epoch) {
      witness.find("I7", `stands at ${show(at)} and was not told of the epoch ${epoch}`);
      return;
    }
    const missing = this.#nextAfter(at);
    if (missing) {
      witness.find("I1", `stands at ${show(at)}, and ${missing.offset}..${chapter.head} never came`);
    }
  }

  #checkContent({ data, id }: Received, position: Position): void {
    const entry = this.#witness.chapter(position.epoch).at(position.offset);
    if (!entry) {
      this.#witness.find("I2", `was given ${show(position)}, which the log never took: ${JSON.stringify(data)}`);
    } else if (entry.id !== id || entry.data !== JSON.stringify(data)) {
      this.#witness.find("I5", `was given ${JSON.stringify(data)} at ${show(position)}, where ${entry.data} stands`);
    }
  }

  #checkPlace(position: Position): void {
    if (this.#at) this.#checkNext(this.#at, position);
    else if (this.#trail.reached) this.#checkReturn(this.#trail.reached, position);
    else this.#checkFirst(position);
  }

  #checkNext(stands: Position, position: Position): void {
    const witness = this.#witness;
    const { epoch, offset } = position;
    const at = this.#furthest(stands, epoch);
    // Another device has begun there with nothing remembered, and this one took over from it.
    if (epoch !== at.epoch && this.#trail.readers.size > 1) return;
    if (epoch !== at.epoch) {
      witness.find("I7", `the epoch went from ${at.epoch} to ${epoch} without a gap`);
      return;
    }
    const next = this.#nextAfter(at);
    if (epoch === stands.epoch && offset <= stands.offset) {
      witness.find("I3", `was given ${offset} again, having handled ${show(stands)}`);
    }
    if (next && next.offset < offset) witness.find("I6", `came from ${show(at)} to ${offset} without ${next.offset}`);
  }

  /** Others with the same durable subscription may have gone on meanwhile. */
  #furthest(at: Position, epoch: string): Position {
    const offset = this.#trail.offsets.get(epoch);
    if (!this.#witness.options.trail || offset === undefined) return at;
    return at.epoch === epoch && at.offset > offset ? at : { epoch, offset };
  }

  /** The first message of a durable subscriber's new life: not after what must come next, not before what is certain. */
  #checkReturn(reached: Position, position: Position): void {
    const witness = this.#witness;
    const { epoch, offset } = position;
    if (epoch !== reached.epoch) {
      // Others with the same durable subscription have gone on to another epoch, or have not yet.
      if (this.#trail.readers.size > 1) return;
      // The cursor was lost with the log: there is nothing that could be missed.
      if (this.#beginsIn(epoch)) this.#checkFirst(position);
      else witness.find("I7", `the epoch went from ${reached.epoch} to ${epoch} without a gap`);
      return;
    }
    const next = this.#nextAfter(reached);
    if (next && next.offset < offset) {
      witness.find("I6", `came back to ${offset}, having reached ${show(reached)}, without ${next.offset}`);
    }
    for (const sure of [this.#trail.sure, witness.stored]) {
      if (sure?.epoch !== epoch || offset > sure.offset) continue;
      witness.find("I3", `came back to ${offset}, having closed in good order at ${show(sure)}`);
    }
  }

  /** Whether the log may have had this epoch when the subscription was made. */
  #beginsIn(epoch: string): boolean {
    const { epochs } = this.#witness.ledger;
    const at = epochs.indexOf(epoch);
    return epochs.indexOf(this.#bornIn) <= at && at <= epochs.indexOf(this.#ready?.epoch ?? epoch);
  }

  #checkFirst({ epoch, offset }: Position): void {
    const witness = this.#witness;
    const { start } = witness.options;
    const chapter = witness.chapter(epoch);
    const from = start === "earliest" ? 0 : this.#ready?.offset;
    if (from === undefined || (start === "new" && this.#ready?.epoch !== epoch)) return;
    this.#expectGone(chapter, from, offset - 1, `began at ${offset}`);
  }

  #checkEpochGap(at: Position | undefined, epoch: string, to: number): void {
    const witness = this.#witness;
    const { epochs } = witness.ledger;
    // A durable subscriber may be told again, if it was lost before its cursor had moved on.
    const again = witness.options.trail !== undefined && at?.epoch === epoch;
    if (at && !again && epochs.indexOf(epoch) <= epochs.indexOf(at.epoch)) {
      witness.find("I7", `was told of the epoch ${epoch}, having been in ${at.epoch}`);
    }
    this.#expectGone(witness.chapter(epoch), 0, to, "was told of another epoch");
  }

  #checkGone(at: Position | undefined, epoch: string, from: number, to: number): void {
    const witness = this.#witness;
    if (at && epoch !== at.epoch) witness.find("I7", `a gap of retention leads from ${show(at)} to ${epoch}`);
    if (this.#at && to <= this.#at.offset) witness.find("I8", `a gap ${from}..${to} leads back from ${show(this.#at)}`);
    this.#expectGone(witness.chapter(epoch), from - 1, to, `was told that ${from}..${to} are gone`);
    if (this.#at && from > this.#at.offset + 1)
      this.#expectGone(witness.chapter(epoch), this.#at.offset, from - 1, "skipped");
  }

  #checkGivenUp(epoch: string, from: number, to: number): void {
    const entry = this.#witness.chapter(epoch).at(to);
    if (from !== to || !entry || !this.#wasGivenUp(epoch, entry)) {
      this.#witness.find("I6", `was told that ${from}..${to} were given up, and they were not`);
    }
  }

  #expectGone(chapter: Chapter, after: number, to: number, what: string): void {
    const now = this.#witness.time.now();
    for (let entry = chapter.after(after); entry && entry.offset <= to; entry = chapter.after(entry.offset)) {
      if (chapter.mayBeGone(entry.offset, now) || this.#wasGivenUp(chapter.epoch, entry)) continue;
      this.#witness.find("I1", `${what}, and ${chapter.epoch}/${entry.offset} must still be kept`);
      return;
    }
  }

  /**
   * What must come next. What was given up lies among the dead letters; that it was is told, but if the connection is lost
   * at that moment the subscriber goes on without having heard of it.
   */
  #nextAfter({ epoch, offset }: Position): Entry | undefined {
    const chapter = this.#witness.chapter(epoch);
    let next = chapter.after(offset);
    while (next && this.#wasGivenUp(epoch, next)) next = chapter.after(next.offset);
    return next;
  }

  #wasGivenUp(epoch: string, { offset }: Entry): boolean {
    const { maxAttempts, isDeadLetter } = this.#witness.options;
    const failed = this.#trail.failures.get(`${epoch}/${offset}`) ?? 0;
    return failed >= maxAttempts && isDeadLetter(epoch, offset);
  }

  #moveTo(position: Position): void {
    this.#moved = position;
    const { reached } = this.#trail;
    if (reached?.epoch !== position.epoch || reached.offset < position.offset) this.#trail.reached = position;
    const furthest = this.#trail.offsets.get(position.epoch) ?? 0;
    this.#trail.offsets.set(position.epoch, Math.max(furthest, position.offset));
    if (this.#witness.options.stores) this.#witness.stored = position;
  }
}

function show({ epoch, offset }: Position): string {
  return `${epoch}/${offset}`;
}
