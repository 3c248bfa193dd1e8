/**
 * One connection's subscription to one channel: *live* (the feed delivers) or *catching up* (it reads the log itself,
 * until it stands where the feed stands). It falls back to catching up when its connection's outbox is full, when too
 * many messages are unacknowledged, and after a failed message. On channels without a log it is always live, and what
 * does not fit is dropped and told.
 */
import type { ClientInfo, Gap, Position } from "@todoku/protocol";
import { ERRORS, TodokuError, inEpoch, sharedHistory } from "@todoku/protocol";
import type { Clock } from "../clock.ts";
import { STILL_OPEN, type DurableCursor } from "./durable-cursor.ts";
import { STRETCH_MESSAGES, type Feed, type Stretch } from "./feed.ts";
import type { GatewayObserver } from "./observer.ts";
import type { Outbox } from "./outbox.ts";
import type { Parcel } from "./parcel.ts";
import type { Receiver } from "./receivers.ts";
import type { Encoding, SharedPublication } from "./shared-publication.ts";
import { UnderWay, type Failure } from "./under-way.ts";

/** What a subscription asks of the connection it belongs to. */
export interface SubscriptionHost {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly observer: GatewayObserver;
  pushGap(channel: string, gap: Gap): void;
  /** A gap that the client cannot be told in the base protocol: it must subscribe again. */
  insufficient(subscription: Subscription): void;
  /** A message failed too often and the namespace keeps no dead letters. */
  exhausted(subscription: Subscription): void;
  /** Stores a message that failed too often among the dead letters. Rejects if that fails. */
  deadLetter(subscription: Subscription, publication: SharedPublication, attempts: number): Promise<void>;
}

export interface SubscriptionOptions {
  readonly encoding: Encoding;
  /** Most unacknowledged messages under way; undefined: messages are not acknowledged. */
  readonly inFlight?: number;
  readonly durable?: DurableCursor;
  /** Gives the durable subscription free for other connections. */
  readonly letGo?: () => void;
  readonly joinLeave: boolean;
  readonly serverSide: boolean;
  readonly info: ClientInfo;
  /** The subscription was allowed by a token. */
  readonly byToken: boolean;
}

const READ_RETRY_MS = 500;
/** A log that lags behind its own bus is looked at again after so long. */
const LAG_MS = 50;

export class Subscription implements Receiver {
  readonly feed: Feed;
  readonly options: SubscriptionOptions;
  readonly #host: SubscriptionHost;
  readonly #outbox: Outbox;
  readonly #encoding: Encoding;
  /** Up to where messages were handed to the connection. */
  #sent: Position | undefined;
  /** Offsets at or below it may have been handed out before. */
  #redeliverTo = 0;
  /** Absent where messages are not acknowledged. */
  #underWay: UnderWay | undefined;
  #live = false;
  #reading = false;
  /** A message is on its way to the dead letters: nothing is handed out until it is there. */
  #givingUp = false;
  #closed = false;
  #dropped = 0;
  /** Another epoch was told of and not acknowledged yet: the stored cursor stays in the old one, for it may have to be told again. */
  #gapUnconfirmed = false;
  #cancelDelay: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;

  constructor(feed: Feed, host: SubscriptionHost, options: SubscriptionOptions) {
    this.feed = feed;
    this.options = options;
    this.#host = host;
    this.#outbox = host.outbox;
    this.#encoding = options.encoding;
  }

  get channel(): string {
    return this.feed.channel;
  }

  /** Up to where messages were handed to the connection; undefined on channels without a log. */
  get position(): Position | undefined {
    return this.#sent;
  }

  /** Starts delivery after `position` (absent without a log). `sent` and `attempts` come from a durable cursor. */
  start(position: Position | undefined, sent = 0, attempts = 0): void {
    const { inFlight } = this.options;
    this.#sent = position;
    this.#redeliverTo = sent;
    if (position && inFlight !== undefined) this.#underWay = new UnderWay(inFlight, position, attempts);
    this.feed.receivers.add(this);
    const at = this.feed.position;
    if (at?.offset === position?.offset && at?.epoch === position?.epoch) {
      this.#live = true;
    } else {
      this.#host.observer.caughtUp(this.feed.namespace, "start");
      this.#catchUp();
    }
  }

  close(): void {
    this.#closed = true;
    this.#live = false;
    this.feed.receivers.delete(this);
    this.#cancelDelay?.();
    this.#cancelExpiry?.();
  }

  /** Moves the subscription's end, `ms` from now; undefined: none. */
  expireAfter(ms: number | undefined, onExpired: () => void): void {
    if (this.#closed) return;
    this.#cancelExpiry?.();
    this.#cancelExpiry = ms === undefined ? undefined : this.#host.clock.after(ms, onExpired);
  }

  // ── from the feed ──────────────────────────────────────────────────────────

  offer(publication: SharedPublication): boolean {
    if (!this.#live) return false;
    const { position, prev } = publication;
    if (position === undefined) return this.#sendOrDrop(publication);
    const sent = this.#sent;
    if (sent && position.offset <= sent.offset) return false;
    if (!this.#mayHandOut() || sent === undefined || prev !== sent.offset) {
      this.#live = false;
      if (this.#outbox.hasRoom()) this.#catchUp();
      else this.#host.observer.caughtUp(this.feed.namespace, "slow");
      return false;
    }
    this.#hand(publication, position);
    return true;
  }

  signal(frame: Parcel): void {
    if (this.options.joinLeave && this.#outbox.hasRoom()) this.#outbox.push(frame);
  }

  skipped(): void {
    this.#live = false;
    this.#catchUp();
  }

  // ── from the connection ────────────────────────────────────────────────────

  /** The outbox has room again. */
  drained(): void {
    this.#tellDropped();
    if (this.#sent && !this.#live) this.#catchUp();
  }

  /**
   * Everything up to `position` was handled. Resolves when that is stored.
   *
   * @throws TodokuError 107 for a position that was never handed out, 112 for another epoch, 404 if taken over.
   */
  async ack(position: Position): Promise<Position> {
    const underWay = this.#checkReceipt(position);
    if (position.offset >= underWay.acked.offset) this.#gapUnconfirmed = false;
    const wasFailing = underWay.failing;
    if (underWay.ack(position.offset)) {
      // A device that handled messages on an earlier connection may acknowledge ahead of what this one sent.
      if (this.#sent && this.#sent.offset < underWay.acked.offset) this.#sent = underWay.acked;
      // What was to be sent again after a while was handled after all.
      if (wasFailing && !underWay.failing) this.#endDelay();
      this.#catchUp();
    }
    await this.#store();
    return underWay.acked;
  }

  /** Handling the message at `position` failed: from there on everything is sent again, after a delay that grows. */
  async nack(position: Position): Promise<void> {
    const underWay = this.#checkReceipt(position);
    const failure = underWay.fail(position.offset);
    if (failure === undefined) return;
    this.#live = false;
    this.#redeliverTo = this.#handedOut();
    this.#sent = { epoch: position.epoch, offset: failure.prev };
    const { maxAttempts, backoff } = this.feed.namespace.redelivery;
    if (failure.attempts >= maxAttempts) {
      await this.#giveUp(underWay, failure);
    } else {
      const delay = Math.min(backoff.firstMs * 2 ** (failure.attempts - 1), backoff.lastMs);
      this.#resumeAfter(delay);
      await this.#store();
    }
  }

  // ── catching up ────────────────────────────────────────────────────────────

  #catchUp(): void {
    if (this.#reading || this.#live || this.#isPaused()) return;
    this.#reading = true;
    this.#readUntilLive().catch((error: unknown) => {
      this.#host.observer.backboneFailed(this.feed.namespace, "read", error);
      this.#resumeAfter(READ_RETRY_MS);
    });
  }

  async #readUntilLive(): Promise<void> {
    let foundNothing = false;
    try {
      while (!this.#isPaused() && this.#mayHandOut()) {
        const from = this.#sent;
        if (from === undefined) return;
        const room = this.#underWay?.room ?? STRETCH_MESSAGES;
        const stretch = await this.feed.read(from, Math.min(STRETCH_MESSAGES, room));
        // A failed message or a close may have moved the ground while the log was read.
        if (this.#isPaused() || this.#sent !== from) continue;
        if (this.#passGap(stretch, from)) continue;
        for (const publication of stretch.publications.list) {
          if (!this.#mayHandOut() || publication.position === undefined) break;
          this.#hand(publication, publication.position);
        }
        if (this.#standsAtFeed()) {
          this.#live = true;
          return;
        }
        // The feed may have gone on while this was read. If the log still has nothing, it lags behind its own bus.
        const nothing = stretch.publications.list.length === 0;
        if (nothing && foundNothing) return this.#resumeAfter(LAG_MS);
        foundNothing = nothing;
      }
    } finally {
      this.#reading = false;
    }
  }

  /** Whether delivery is over, waits for a delay to end, or for a dead letter to be stored. */
  #isPaused(): boolean {
    return this.#closed || this.#givingUp || this.#cancelDelay !== undefined;
  }

  #standsAtFeed(): boolean {
    const feed = this.feed.position;
    const sent = this.#sent;
    return feed !== undefined && sent !== undefined && feed.epoch === sent.epoch && sent.offset >= feed.offset;
  }

  /** Tells of what the log no longer has, and steps over it. Returns whether there was a gap. */
  #passGap(stretch: Stretch, from: Position): boolean {
    const { epoch, trimmed, head } = stretch;
    const sameEpoch = epoch === from.epoch;
    // A position beyond the head of the log, and not because the log lags behind its bus, is none of this log.
    const beyond = from.offset > head && from.offset > (this.feed.position?.offset ?? 0);
    if (sameEpoch && !beyond && trimmed <= from.offset) return false;
    if (!sameEpoch && trimmed <= from.offset && inEpoch(from, stretch)) {
      // Nothing is missing, but the place has another name now: the client learns it by subscribing again.
      this.feed.compare({ epoch, offset: head });
      this.#host.insufficient(this);
      return true;
    }
    const shared = sameEpoch ? 0 : sharedHistory(from, stretch);
    const to = sameEpoch && beyond ? head : Math.max(trimmed, shared);
    const first = sameEpoch || shared > 0 ? Math.min(from.offset, to) + 1 : 1;
    const lost = !sameEpoch || beyond;
    this.#sent = { epoch, offset: to };
    if (lost) {
      this.#redeliverTo = 0;
      this.#underWay?.beginAt(this.#sent);
      this.#gapUnconfirmed = true;
    }
    // What is under way from before the gap stays so: handling it may fail yet. An ack steps over the gap.
    this.#gap({ from: first, to, reason: lost ? "epoch" : "retention", epoch });
    return true;
  }

  #gap(gap: Gap): void {
    this.#host.observer.gap(this.feed.namespace, gap.reason);
    if (this.#encoding === "extended") this.#host.pushGap(this.channel, gap);
    else if (gap.reason !== "dropped") this.#host.insufficient(this);
  }

  #resumeAfter(ms: number): void {
    this.#endDelay();
    if (this.#closed) return;
    this.#cancelDelay = this.#host.clock.after(ms, () => {
      this.#cancelDelay = undefined;
      this.#catchUp();
    });
  }

  #endDelay(): void {
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
  }

  // ── handing out ────────────────────────────────────────────────────────────

  #mayHandOut(): boolean {
    return this.#outbox.hasRoom() && (this.#underWay === undefined || this.#underWay.room > 0);
  }

  #hand(publication: SharedPublication, position: Position): void {
    const redelivered = position.offset <= this.#redeliverTo;
    if (redelivered) this.#host.observer.redelivered(this.feed.namespace);
    this.#outbox.push(redelivered ? publication.redelivered() : publication.parcel(this.#encoding));
    this.#underWay?.handOut(position.offset);
    this.#sent = position;
  }

  #sendOrDrop(publication: SharedPublication): boolean {
    if (!this.#outbox.hasRoom()) {
      this.#dropped++;
      this.#host.observer.dropped(this.feed.namespace, 1);
      return false;
    }
    this.#tellDropped();
    this.#outbox.push(publication.parcel(this.#encoding));
    return true;
  }

  /** In the place of what was dropped: before the next that is sent. */
  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#gap({ from: 0, to: dropped, reason: "dropped" });
  }

  // ── acknowledgements ───────────────────────────────────────────────────────

  #checkReceipt({ epoch, offset }: Position): UnderWay {
    const underWay = this.#underWay;
    if (underWay === undefined) {
      throw new TodokuError(
        ERRORS.badRequest,
        `subscription to ${this.channel} has no acknowledgements; subscribe with ack: true`,
      );
    }
    if (epoch !== underWay.acked.epoch)
      throw new TodokuError(ERRORS.unrecoverablePosition, `the epoch of ${this.channel} is another`);
    if (offset > this.#handedOut())
      throw new TodokuError(ERRORS.badRequest, `offset ${offset} of ${this.channel} was not sent yet`);
    return underWay;
  }

  async #giveUp(underWay: UnderWay, { offset, prev, attempts }: Failure): Promise<void> {
    if (this.feed.namespace.redelivery.deadLetters === undefined) {
      try {
        await this.#store();
      } finally {
        this.#host.exhausted(this);
      }
      return;
    }
    const before = this.#sent;
    this.#givingUp = true;
    try {
      const stretch = await this.feed.read({ epoch: underWay.acked.epoch, offset: prev }, 1);
      const [publication] = stretch.publications.list;
      // If it is no longer in the log, catching up finds that and tells it.
      if (before && stretch.epoch === before.epoch && publication?.offset === offset) {
        await this.#host.deadLetter(this, publication, attempts);
        if (this.#sent === before) this.#stepOver(underWay, { epoch: before.epoch, offset });
      }
    } catch (error) {
      // Not skipped silently: it stays where it is and is tried again.
      this.#host.observer.backboneFailed(this.feed.namespace, "dead_letter", error);
      this.#resumeAfter(this.feed.namespace.redelivery.backoff.lastMs);
    }
    this.#givingUp = false;
    this.#catchUp();
    await this.#store();
  }

  #stepOver(underWay: UnderWay, position: Position): void {
    this.#sent = position;
    underWay.giveUp(position.offset);
    const { epoch, offset } = position;
    if (!this.#closed) this.#gap({ from: offset, to: offset, reason: "failed", epoch });
  }

  async #store(): Promise<void> {
    const { durable } = this.options;
    if (durable === undefined || this.#underWay === undefined || this.#gapUnconfirmed) return;
    const { acked, attempts } = this.#underWay;
    await durable.write({ position: acked, sent: this.#closed ? this.#handedOut() : STILL_OPEN, attempts });
  }

  /** Stores how far messages were handed out, so that the next connection marks them as redelivered. Nobody waits for it. */
  saveForLater(): void {
    this.#store().catch((error: unknown) => {
      this.#host.observer.backboneFailed(this.feed.namespace, "cursor", error);
    });
  }

  #handedOut(): number {
    return Math.max(this.#sent?.offset ?? 0, this.#redeliverTo);
  }
}
