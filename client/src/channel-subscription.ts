/** The life of one subscription: what it begins with, what becomes of all that arrives, and its end. */
import {
  CLIENT_ERRORS,
  ERRORS,
  TodokuError,
  type Position,
  type Push,
  type SubscribeRequest,
  type SubscribeResult,
} from "@todoku/protocol";
import { Acks } from "./acks.ts";
import type { Connection } from "./connection.ts";
import type { CursorStore } from "./cursor-store.ts";
import { Delivery, type Handler } from "./delivery.ts";
import { Enrolment, type EnrolmentHost } from "./enrolment.ts";
import { Events } from "./events.ts";
import { Inbox, type Item } from "./inbox.ts";
import { Iteration } from "./iteration.ts";
import { positionOf, type Message } from "./message.ts";
import { Retrying } from "./retrying.ts";
import type { SubscribeOptions, Subscription, SubscriptionEvents, SubscriptionState } from "./subscription.ts";
import { within } from "./within.ts";

export interface SubscriptionHost extends EnrolmentHost {
  readonly timeoutMs: number;
  readonly cursors: CursorStore | undefined;
  readonly channelToken: ((channel: string) => Promise<string | undefined> | string | undefined) | undefined;
  /** Nothing of this subscription is left. */
  gone(subscription: object): void;
}

const DEFAULT_IN_FLIGHT = 100;
const DEFAULT_ATTEMPTS = 5;

export class ChannelSubscription<Data> implements Subscription<Data> {
  readonly channel: string;
  readonly ready: Promise<void>;
  readonly #host: SubscriptionHost;
  readonly #options: SubscribeOptions;
  readonly #events = new Events<SubscriptionEvents>();
  /** Settles when the earlier subscription to the channel has gone. How it ended is its own affair. */
  readonly #after: Promise<void> | undefined;
  readonly #restoring: Retrying;
  readonly #enrolment: Enrolment;
  readonly #inbox: Inbox<Data>;
  readonly #delivery: Delivery<Data>;
  readonly #acks: Acks | undefined;
  readonly #iteration: Iteration<Data> | undefined;
  #iterated = false;
  #settleReady: (error?: TodokuError) => void = () => {};
  #state: SubscriptionState = "subscribing";
  #closing: Promise<void> | undefined;

  /** Without a handler it is iterated. `after`: an earlier subscription to the channel has gone. */
  constructor(
    host: SubscriptionHost,
    channel: string,
    handler: Handler<Data> | undefined,
    options: SubscribeOptions,
    after: Promise<void> | undefined,
  ) {
    this.#host = host;
    this.channel = channel;
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = (error) => (error ? reject(error) : resolve());
    });
    // Whoever does not wait for it hears of the error by the event.
    this.ready.catch(() => {});
    const { clock, backoff, cursors, channelToken } = host;
    this.#restoring = new Retrying(clock, backoff);
    this.#enrolment = new Enrolment(host, channel, channelToken && (() => channelToken(channel)), {
      request: () => this.#request(),
      accepted: (result) => this.#accepted(result),
      suspended: () => this.#suspended(),
      troubled: (error) => this.#tell("error", error),
      refused: (error) => void this.fail(error),
    });
    this.#inbox = new Inbox(channel);
    const { durable, ack, inFlight = DEFAULT_IN_FLIGHT, maxAttempts = DEFAULT_ATTEMPTS } = options;
    const acked = durable !== undefined || ack === true;
    this.#acks = acked ? new Acks(clock, inFlight, (position) => this.#enrolment.ack(position)) : undefined;
    this.#iteration = handler ? undefined : new Iteration(() => this.close());
    this.#delivery = new Delivery(
      this.#inbox,
      handler ?? ((message) => this.#iteration?.handle(message)),
      { channel, clock, backoff, maxAttempts, byServer: acked, store: cursors && ((at) => cursors.set(channel, at)) },
      {
        advanced: () => this.#advanced(),
        gap: (gap) => this.#tell("gap", gap),
        failed: (item) => this.#failed(item),
        error: (error) => this.#tell("error", error),
        ended: (error) => void this.fail(error),
      },
    );
    this.#after = after?.catch(() => {});
    void this.#begin();
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  get position(): Position | undefined {
    return this.#inbox.handled;
  }

  /** Settles when nothing of it is left. */
  get closing(): Promise<void> | undefined {
    return this.#closing;
  }

  on<Name extends keyof SubscriptionEvents>(
    name: Name,
    listener: (payload: SubscriptionEvents[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener);
  }

  [Symbol.asyncIterator](): AsyncIterator<Message<Data>, undefined> {
    if (!this.#iteration || this.#iterated) {
      const why = this.#iteration ? "is iterated already" : "has a handler";
      throw new TodokuError(ERRORS.badRequest, `the subscription to ${this.channel} ${why}`);
    }
    this.#iterated = true;
    return this.#iteration;
  }

  close({ forget = false }: { readonly forget?: boolean } = {}): Promise<void> {
    return (this.#closing ??= this.#close(forget, undefined));
  }

  /** Ends it with an error. */
  fail(error: TodokuError): Promise<void> {
    return (this.#closing ??= this.#close(false, error));
  }

  // ── from the client ────────────────────────────────────────────────────────

  /** A connection is there, or about to be: its `connect` leaves in the same frame. */
  join(connection: Connection): void {
    this.#enrolment.join(connection);
  }

  /** The connection was accepted. */
  joinLate(connection: Connection): void {
    this.#enrolment.joinLate(connection);
  }

  /** The connection is gone. */
  left(): void {
    this.#enrolment.lost();
    this.#become("subscribing");
  }

  push({ pub, gap, join, leave, unsubscribe }: Push, size: number): void {
    if (!this.#enrolment.inForce || this.#state === "closed") return;
    if (pub) {
      const outcome = this.#inbox.receive(pub, size);
      if (outcome === "known") this.#acknowledge();
      else if (outcome === "hole") this.#enrolment.again(0);
      else if (this.#inbox.full) this.#overflow();
      this.#delivery.wake();
    } else if (gap) {
      this.#inbox.receiveGap(gap);
      this.#delivery.wake();
    } else if (join) {
      this.#events.emit("join", join.info);
    } else if (leave) {
      this.#events.emit("leave", leave.info);
    } else if (unsubscribe) {
      this.#enrolment.ended(unsubscribe.code, unsubscribe.reason);
      this.#become("subscribing");
    }
  }

  // ── asking ─────────────────────────────────────────────────────────────────

  /** Reads the stored position before the first subscribe. */
  async #begin(): Promise<void> {
    await this.#after;
    if (this.#state === "closed") return;
    const { maxAttempts = DEFAULT_ATTEMPTS } = this.#options;
    const position = await this.#restoring.until(
      () => this.#host.cursors?.get(this.channel),
      (cause, attempt) => {
        const detail = `reading the position of ${this.channel}`;
        const error = new TodokuError(CLIENT_ERRORS.cursorStoreFailed, detail, { cause });
        if (attempt < maxAttempts) this.#tell("error", error);
        else void this.fail(error);
        return attempt < maxAttempts;
      },
    );
    if (position?.value) this.#inbox.restore(position.value);
    await this.#enrolment.begin();
  }

  #request(): SubscribeRequest {
    const { durable, ack, inFlight, start, joinLeave, data } = this.#options;
    const from = this.#acks ? this.#inbox.handled : this.#inbox.queued;
    return {
      channel: this.channel,
      start: from ?? start ?? "new",
      ...(durable !== undefined && { durable }),
      ...(ack === true && { ack }),
      ...(inFlight !== undefined && { in_flight: inFlight }),
      ...(joinLeave === true && { join_leave: true }),
      ...(data !== undefined && { data }),
    };
  }

  #accepted(result: SubscribeResult): void {
    const { cursor, publications = [] } = result;
    this.#acks?.reset();
    this.#inbox.begin(positionOf(cursor ?? result), cursor !== undefined, result.forks);
    for (const pub of publications) this.#inbox.receive(pub, 0);
    this.#become("subscribed");
    this.#settleReady();
    this.#delivery.wake();
  }

  /** The server hands out unacknowledged messages again. */
  #suspended(): void {
    if (!this.#acks) return;
    this.#acks.reset();
    this.#inbox.forgetQueued(this.#delivery.current);
  }

  // ── handling ───────────────────────────────────────────────────────────────

  #advanced(): void {
    this.#acknowledge();
    if (this.#inbox.drained) this.#enrolment.resume();
  }

  #acknowledge(): void {
    const position = this.#acks && this.#inbox.acknowledgeable;
    if (position && this.#enrolment.inForce) this.#acks?.advance(position);
  }

  /** A message of an acknowledged subscription was not handled: the server is to send it again. */
  #failed({ position, round }: Item<Data>): void {
    const { inForce } = this.#enrolment;
    const isPresent = inForce && round === this.#inbox.round && position && this.#inbox.receivesIn(position);
    // What was handled before it goes first: the server counts the attempts of the message right after that.
    if (isPresent) this.#acks?.flush();
    this.#inbox.rewind();
    if (!inForce || !position) return;
    if (isPresent) this.#enrolment.nack(position);
    // It came by an earlier subscribe or in an earlier epoch, which the server knows nothing of any more.
    else this.#enrolment.again();
  }

  /** The handler is slower than the channel. */
  #overflow(): void {
    // The server holds back by itself.
    if (this.#acks) return;
    if (this.#inbox.queued) this.#enrolment.pause();
    else while (this.#inbox.full) this.#inbox.dropOldest();
  }

  // ── the end ────────────────────────────────────────────────────────────────

  async #close(forget: boolean, error: TodokuError | undefined): Promise<void> {
    const { clock, timeoutMs, cursors } = this.#host;
    const { channel } = this;
    this.#restoring.stop();
    this.#enrolment.stop();
    this.#become("closed");
    this.#settleReady(
      error ?? new TodokuError(CLIENT_ERRORS.clientClosed, `the subscription to ${channel} was closed`),
    );
    const stopped = this.#delivery.stop();
    this.#iteration?.end(error);
    if (error) this.#tell("error", error, this.#iterated);
    await within(clock, timeoutMs, stopped);
    this.#acks?.flush();
    await this.#acks?.answered();
    try {
      await this.#enrolment.leave(forget && this.#options.durable !== undefined);
      if (forget) await cursors?.delete(channel);
    } finally {
      // The next one waits for both.
      await this.#after;
      this.#host.gone(this);
    }
  }

  #become(state: SubscriptionState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#events.emit("state", state);
  }

  #tell<Name extends "gap" | "error">(name: Name, payload: SubscriptionEvents[Name], heard = false): void {
    this.#events.alarm(name, payload, `${name} on ${this.channel}`, heard);
  }
}
