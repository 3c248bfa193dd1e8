/**
 * One connection's subscription to one channel: *live* (the feed delivers) or *catching up* (it reads the log itself,
 * until it stands where the feed stands). It falls back to catching up when its connection's outbox is full, when too
 * many messages are unacknowledged, and after a failed message. On channels without a log it is always live, and what
 * does not fit is dropped and told.
 */
import type { ClientInfo, Gap, Position } from "@todoku/protocol";
import { ERRORS, TodokuError } from "@todoku/protocol";
import type { Clock } from "../clock.ts";
import type { DurableCursor } from "./durable-cursor.ts";
import { STRETCH_MESSAGES, type Feed, type Receiver, type Stretch } from "./feed.ts";
import type { GatewayObserver } from "./observer.ts";
import type { Outbox } from "./outbox.ts";
import type { Encoding, SharedPublication } from "./shared-publication.ts";

/** What a subscription asks of the connection it belongs to. */
export interface SubscriptionHost {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly observer: GatewayObserver;
  pushGap(channel: string, gap: Gap): void;
  pushSignal(channel: string, signal: string): void;
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

/** A message on its way, not yet acknowledged. */
interface UnderWay {
  readonly offset: number;
  /** The position before it. */
  readonly prev: number;
}

const READ_RETRY_MS = 500;

export class Subscription implements Receiver {
  readonly feed: Feed;
  readonly options: SubscriptionOptions;
  readonly #host: SubscriptionHost;
  /** Up to where messages were handed to the connection. */
  #sent: Position | undefined;
  /** Offsets at or below it may have been handed out before. */
  #redeliverTo = 0;
  #underWay: UnderWay[] = [];
  #acked: Position | undefined;
  #attempts = 0;
  /** The offset that `#attempts` counts; undefined: the message right after the cursor. */
  #failing: number | undefined;
  #live = false;
  #reading = false;
  #closed = false;
  #dropped = 0;
  #cancelDelay: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;

  constructor(feed: Feed, host: SubscriptionHost, options: SubscriptionOptions) {
    this.feed = feed;
    this.options = options;
    this.#host = host;
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
    this.#sent = position;
    this.#acked = position;
    this.#redeliverTo = sent;
    this.#attempts = attempts;
    this.feed.receivers.add(this);
    if (position === undefined) {
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
    this.#cancelExpiry?.();
    this.#cancelExpiry = ms === undefined ? undefined : this.#host.clock.after(ms, onExpired);
  }

  // ── from the feed ──────────────────────────────────────────────────────────

  offer(publication: SharedPublication): boolean {
    if (!this.#live) return false;
    const { offset, prev } = publication;
    if (offset === undefined) return this.#sendOrDrop(publication);
    if (this.#sent && offset <= this.#sent.offset) return false;
    if (!this.#mayHandOut() || this.#sent === undefined || prev !== this.#sent.offset) {
      this.#live = false;
      if (this.#host.outbox.hasRoom()) this.#catchUp();
      else this.#host.observer.caughtUp(this.feed.namespace, "slow");
      return false;
    }
    this.#hand(publication, offset);
    return true;
  }

  signal(signal: string): void {
    if (this.options.joinLeave && this.#host.outbox.hasRoom()) this.#host.pushSignal(this.channel, signal);
  }

  skipped(): void {
    this.#live = false;
    this.#catchUp();
  }

  // ── from the connection ────────────────────────────────────────────────────

  /** The outbox has room again. */
  drained(): void {
    if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      this.#gap({ from: 0, to: dropped, reason: "dropped" });
    }
    if (this.#sent && !this.#live) this.#catchUp();
  }

  /**
   * Everything up to `position` was handled. Resolves when that is stored.
   *
   * @throws TodokuError 107 for a position that was never handed out, 112 for another epoch, 404 if taken over.
   */
  async ack(position: Position): Promise<Position> {
    const acked = this.#checkReceipt(position);
    if (position.offset > acked.offset) {
      this.#acked = position;
      this.#attempts = 0;
      this.#failing = undefined;
      this.#underWay = this.#underWay.filter(({ offset }) => offset > position.offset);
      // A device that handled messages on an earlier connection may acknowledge ahead of what this one sent.
      if (this.#sent && this.#sent.offset < position.offset) this.#sent = position;
      if (!this.#live && this.#cancelDelay === undefined) this.#catchUp();
    }
    await this.#store();
    return this.#acked ?? position;
  }

  /** Handling the message at `position` failed: from there on everything is sent again, after a delay that grows. */
  async nack(position: Position): Promise<void> {
    const acked = this.#checkReceipt(position);
    const at = this.#underWay.findIndex(({ offset }) => offset === position.offset);
    const failed = this.#underWay[at];
    if (failed === undefined) return;
    this.#live = false;
    this.#redeliverTo = Math.max(this.#redeliverTo, this.#sent?.offset ?? 0);
    this.#sent = { epoch: acked.epoch, offset: failed.prev };
    this.#underWay.length = at;
    this.#attempts = at === 0 || this.#failing === failed.offset ? this.#attempts + 1 : 1;
    this.#failing = failed.offset;
    const { maxAttempts, backoff } = this.feed.namespace.redelivery;
    if (this.#attempts >= maxAttempts) {
      await this.#giveUp(failed);
    } else {
      const delay = Math.min(backoff.firstMs * 2 ** (this.#attempts - 1), backoff.lastMs);
      this.#resumeAfter(delay);
      await this.#store();
    }
  }

  // ── catching up ────────────────────────────────────────────────────────────

  #catchUp(): void {
    if (this.#reading || this.#live || this.#closed || this.#cancelDelay) return;
    this.#reading = true;
    this.#readUntilLive().catch((error: unknown) => {
      this.#host.observer.backboneFailed(this.feed.namespace, "read", error);
      this.#resumeAfter(READ_RETRY_MS);
    });
  }

  async #readUntilLive(): Promise<void> {
    try {
      while (!this.#closed && !this.#cancelDelay && this.#mayHandOut()) {
        const from = this.#sent;
        if (from === undefined) return;
        const free =
          this.options.inFlight === undefined ? STRETCH_MESSAGES : this.options.inFlight - this.#underWay.length;
        const stretch = await this.feed.read(from.offset, Math.min(STRETCH_MESSAGES, free));
        // A failed message or a close may have moved the ground while the log was read.
        if (this.#closed || this.#sent !== from) continue;
        if (this.#passGap(stretch, from)) continue;
        for (const publication of stretch.publications) {
          if (!this.#mayHandOut() || publication.offset === undefined) break;
          this.#hand(publication, publication.offset);
        }
        if (this.#standsAtFeed()) {
          this.#live = true;
          return;
        }
        if (stretch.publications.length === 0) await this.#waitForFeed();
      }
    } finally {
      this.#reading = false;
    }
  }

  /** The log ends before the feed: only a log that lags behind its own bus does that. Look again shortly. */
  #waitForFeed(): Promise<void> {
    return new Promise((resolve) => this.#host.clock.after(50, resolve));
  }

  #standsAtFeed(): boolean {
    const feed = this.feed.position;
    const sent = this.#sent;
    return feed !== undefined && sent !== undefined && feed.epoch === sent.epoch && sent.offset >= feed.offset;
  }

  /** Tells of what the log no longer has, and steps over it. Returns whether there was a gap. */
  #passGap({ epoch, trimmed, head }: Stretch, from: Position): boolean {
    // A position beyond the head means that the log has lost what this reader already saw.
    const rewound = epoch !== from.epoch || from.offset > head;
    if (!rewound && trimmed <= from.offset) return false;
    const to = epoch === from.epoch && rewound ? head : trimmed;
    this.#sent = { epoch, offset: to };
    this.#acked = this.#sent;
    this.#underWay = [];
    this.#attempts = 0;
    this.#failing = undefined;
    if (rewound) this.#redeliverTo = 0;
    this.#gap({ from: Math.min(from.offset, to) + 1, to, reason: rewound ? "epoch" : "retention", epoch });
    void this.#storeInBackground();
    return true;
  }

  #gap(gap: Gap): void {
    this.#host.observer.gap(this.feed.namespace, gap.reason);
    if (this.options.encoding === "extended") this.#host.pushGap(this.channel, gap);
    else if (gap.reason !== "dropped") this.#host.insufficient(this);
  }

  #resumeAfter(ms: number): void {
    this.#cancelDelay?.();
    this.#cancelDelay = this.#host.clock.after(ms, () => {
      this.#cancelDelay = undefined;
      this.#catchUp();
    });
  }

  // ── handing out ────────────────────────────────────────────────────────────

  #mayHandOut(): boolean {
    const { inFlight } = this.options;
    return this.#host.outbox.hasRoom() && (inFlight === undefined || this.#underWay.length < inFlight);
  }

  #hand(publication: SharedPublication, offset: number): void {
    const sent = this.#sent;
    if (sent === undefined) return;
    const redelivered = offset <= this.#redeliverTo;
    if (redelivered) this.#host.observer.redelivered(this.feed.namespace);
    this.#host.outbox.push(redelivered ? publication.redeliveredBytes() : publication.bytes(this.options.encoding));
    if (this.options.inFlight !== undefined) this.#underWay.push({ offset, prev: sent.offset });
    this.#sent = { epoch: sent.epoch, offset };
  }

  #sendOrDrop(publication: SharedPublication): boolean {
    if (!this.#host.outbox.hasRoom()) {
      this.#dropped++;
      this.#host.observer.dropped(this.feed.namespace, 1);
      return false;
    }
    this.#host.outbox.push(publication.bytes(this.options.encoding));
    return true;
  }

  // ── acknowledgements ───────────────────────────────────────────────────────

  #checkReceipt({ epoch, offset }: Position): Position {
    const acked = this.#acked;
    if (this.options.inFlight === undefined || acked === undefined) {
      throw new TodokuError(
        ERRORS.badRequest,
        `subscription to ${this.channel} has no acknowledgements; subscribe with ack: true`,
      );
    }
    if (epoch !== acked.epoch)
      throw new TodokuError(ERRORS.unrecoverablePosition, `the epoch of ${this.channel} is another`);
    const highest = Math.max(this.#sent?.offset ?? 0, this.#redeliverTo);
    if (offset > highest)
      throw new TodokuError(ERRORS.badRequest, `offset ${offset} of ${this.channel} was not sent yet`);
    return acked;
  }

  async #giveUp(failed: UnderWay): Promise<void> {
    const attempts = this.#attempts;
    if (this.feed.namespace.redelivery.deadLetters === undefined) {
      await this.#store();
      this.#host.exhausted(this);
      return;
    }
    const epoch = this.#sent?.epoch ?? "";
    try {
      const { publications } = await this.feed.read(failed.prev, 1);
      const [publication] = publications;
      if (publication?.offset === failed.offset) await this.#host.deadLetter(this, publication, attempts);
      if (this.#closed) return;
      this.#gap({ from: failed.offset, to: failed.offset, reason: "failed", epoch });
    } catch (error) {
      // Not skipped silently: it stays where it is and is tried again.
      this.#host.observer.backboneFailed(this.feed.namespace, "dead_letter", error);
      this.#resumeAfter(this.feed.namespace.redelivery.backoff.lastMs);
      return;
    }
    this.#sent = { epoch, offset: failed.offset };
    if (failed.prev === this.#acked?.offset || this.#underWay.length === 0) this.#acked = this.#sent;
    this.#attempts = 0;
    this.#failing = undefined;
    this.#catchUp();
    await this.#store();
  }

  async #store(): Promise<void> {
    const { durable } = this.options;
    if (durable === undefined || this.#acked === undefined) return;
    await durable.write({ position: this.#acked, sent: this.#handedOut(), attempts: this.#attempts });
  }

  /** Keeps the cursor current where nobody waits for it. */
  async #storeInBackground(): Promise<void> {
    try {
      await this.#store();
    } catch (error) {
      this.#host.observer.backboneFailed(this.feed.namespace, "cursor", error);
    }
  }

  /** Stores how far messages were handed out, so that the next connection marks them as redelivered. */
  saveForLater(): void {
    void this.#storeInBackground();
  }

  #handedOut(): number {
    return Math.max(this.#sent?.offset ?? 0, this.#redeliverTo);
  }
}
