/** The life of one subscription: asks for it on each connection, sorts what arrives, and ends it. */
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
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { CursorStore } from "./cursor-store.ts";
import { Delivery, type Handler } from "./delivery.ts";
import { asError, unreachable, unsubscribeError } from "./errors.ts";
import { Events } from "./events.ts";
import { Inbox, type Item } from "./inbox.ts";
import { Iteration } from "./iteration.ts";
import { positionOf, type Message } from "./message.ts";
import { Renewal } from "./renewal.ts";
import { Retrying } from "./retrying.ts";
import type { SubscribeOptions, Subscription, SubscriptionEvents, SubscriptionState } from "./subscription.ts";
import { Token } from "./token.ts";
import { within } from "./within.ts";

export interface SubscriptionHost {
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly timeoutMs: number;
  readonly cursors: CursorStore | undefined;
  readonly channelToken: ((channel: string) => Promise<string | undefined> | string | undefined) | undefined;
  /** The connection, once its `connect` was accepted. */
  readonly connection: Connection | undefined;
  /** Nothing of this subscription is left. */
  gone(subscription: object): void;
}

const DEFAULT_IN_FLIGHT = 100;
const DEFAULT_ATTEMPTS = 5;
/** Past it the server numbers unsubscribes that are to be subscribed again. */
const SUBSCRIBE_AGAIN = 2500;
/** A subscription that had worked is asked for again as if this many tries had failed. */
const RESUBSCRIBE_TRY = 2;

export class ChannelSubscription<Data> implements Subscription<Data> {
  readonly channel: string;
  readonly ready: Promise<void>;
  readonly #host: SubscriptionHost;
  readonly #options: SubscribeOptions;
  readonly #events = new Events<SubscriptionEvents>();
  readonly #token: Token;
  /** Settles when the earlier subscription to the channel has gone. How it ended is its own affair. */
  readonly #after: Promise<void> | undefined;
  readonly #renewal: Renewal;
  readonly #preparing: Retrying;
  readonly #inbox: Inbox<Data>;
  readonly #delivery: Delivery<Data>;
  readonly #acks: Acks | undefined;
  readonly #iteration: Iteration<Data> | undefined;
  #iterated = false;
  #settleReady: (error?: TodokuError) => void = () => {};
  #state: SubscriptionState = "subscribing";
  /** Position and token are at hand. */
  #prepared = false;
  /** The connection that a subscribe was sent on. */
  #askedOn: Connection | undefined;
  /** Counts subscribes; answers to older ones mean nothing. */
  #asks = 0;
  /** Publications that arrive belong to the present subscribe. */
  #live = false;
  /** Unsubscribed until the handler has caught up. */
  #paused = false;
  #tries = 0;
  #tokenText: string | undefined;
  /** Of the next subscribe. */
  #cancelTimer: (() => void) | undefined;
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
    this.#token = new Token(host.channelToken && (() => host.channelToken?.(channel)), `the token of ${channel}`);
    const { clock, backoff } = host;
    this.#renewal = new Renewal({
      clock,
      backoff,
      token: this.#token,
      send: (token) => this.#sendToken(token),
      failed: (error) => this.#tell("error", error),
    });
    this.#preparing = new Retrying(clock, backoff);
    this.#inbox = new Inbox(channel);
    const { durable, ack, inFlight = DEFAULT_IN_FLIGHT, maxAttempts = DEFAULT_ATTEMPTS } = options;
    const acked = durable !== undefined || ack === true;
    this.#acks = acked ? new Acks(clock, inFlight, (position) => this.#sendAck(position)) : undefined;
    this.#iteration = handler ? undefined : new Iteration(() => this.close());
    this.#delivery = new Delivery(
      this.#inbox,
      handler ?? ((message) => this.#iteration?.handle(message)),
      { channel, clock, backoff, maxAttempts, byServer: acked, store: (position) => this.#store(position) },
      {
        advanced: () => this.#advanced(),
        gap: (gap) => this.#tell("gap", gap),
        failed: (item) => this.#failed(item),
        error: (error) => this.#tell("error", error),
        ended: (error) => void this.fail(error),
      },
    );
    this.#after = after?.catch(() => {});
    void this.#prepare();
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
    if (this.#prepared && !this.#paused && this.#state !== "closed") this.#ask(connection);
  }

  /** The connection was accepted: what was not ready yet when it opened is asked for now. */
  joinLate(connection: Connection): void {
    if (this.#askedOn !== connection) this.join(connection);
  }

  /** The connection is gone. */
  left(): void {
    this.#suspend();
    this.#askedOn = undefined;
    if (this.#state === "subscribed") this.#become("subscribing");
  }

  push({ pub, gap, join, leave, unsubscribe }: Push, size: number): void {
    if (!this.#live || this.#state === "closed") return;
    if (pub) {
      const outcome = this.#inbox.receive(pub, size);
      if (outcome === "known") this.#acknowledge();
      else if (outcome === "hole") this.#askAgain(0);
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
      this.#unsubscribed(unsubscribe.code, unsubscribe.reason);
    }
  }

  // ── asking ─────────────────────────────────────────────────────────────────

  /** Gets what must be known before the first subscribe. */
  async #prepare(): Promise<void> {
    await this.#after;
    if (this.#state === "closed") return;
    const { maxAttempts = DEFAULT_ATTEMPTS } = this.#options;
    const position = await this.#preparing.until(
      () => this.#host.cursors?.get(this.channel),
      (cause, attempt) => {
        const detail = `reading the position of ${this.channel}`;
        return this.#mayTryAgain(
          new TodokuError(CLIENT_ERRORS.cursorStoreFailed, detail, { cause }),
          attempt >= maxAttempts,
        );
      },
    );
    if (position?.value) this.#inbox.restore(position.value);
    await this.#prepareToken();
  }

  /** Fetches the token and subscribes, if there is a connection. */
  async #prepareToken(): Promise<void> {
    this.#prepared = false;
    if (this.#state === "closed") return;
    const token = await this.#preparing.until(
      () => this.#token.current(),
      (cause) => {
        const error = asError(cause, CLIENT_ERRORS.tokenFailed, this.channel);
        return this.#mayTryAgain(error, error.retry === "stop");
      },
    );
    if (!token) return;
    this.#tokenText = token.value;
    this.#prepared = true;
    const { connection } = this.#host;
    if (connection) this.joinLate(connection);
  }

  /** The application's store or token function failed. */
  #mayTryAgain(error: TodokuError, isLast: boolean): boolean {
    if (isLast) void this.fail(error);
    else this.#tell("error", error);
    return !isLast;
  }

  #ask(connection: Connection): void {
    const { channel } = this;
    // An earlier subscribe may be in force, or have been answered too late.
    if (this.#askedOn === connection) connection.ask("unsubscribe", { channel }, () => {});
    this.#askedOn = connection;
    this.#live = false;
    const ask = ++this.#asks;
    connection.ask("subscribe", this.#request(), (error, result) => {
      if (ask !== this.#asks || this.#state === "closed") return;
      if (error) this.#refused(error);
      else this.#accepted(result);
    });
  }

  #request(): SubscribeRequest {
    const { durable, ack, inFlight, start, joinLeave, data } = this.#options;
    const from = this.#acks ? this.#inbox.handled : this.#inbox.queued;
    return {
      channel: this.channel,
      start: from ?? start ?? "new",
      ...(this.#tokenText !== undefined && { token: this.#tokenText }),
      ...(durable !== undefined && { durable }),
      ...(ack === true && { ack }),
      ...(inFlight !== undefined && { in_flight: inFlight }),
      ...(joinLeave === true && { join_leave: true }),
      ...(data !== undefined && { data }),
    };
  }

  #accepted(result: SubscribeResult): void {
    const { cursor, publications = [], ttl } = result;
    this.#live = true;
    this.#tries = 0;
    this.#acks?.reset();
    this.#inbox.begin(positionOf(cursor ?? result), cursor !== undefined, result.forks);
    for (const pub of publications) this.#inbox.receive(pub, 0);
    if (this.#tokenText !== undefined) this.#renewal.begin(ttl);
    this.#become("subscribed");
    this.#settleReady();
    this.#delivery.wake();
  }

  #refused(error: TodokuError): void {
    if (error.retry === "retry") return this.#askAgain(this.#host.backoff.jittered(this.#tries++));
    if (error.retry === "refresh" && this.#token.renew()) {
      this.left();
      void this.#prepareToken();
      return;
    }
    void this.fail(error);
  }

  /** The server ended it. */
  #unsubscribed(code: number, reason: string): void {
    const error = unsubscribeError(code, reason);
    this.left();
    if (code < SUBSCRIBE_AGAIN) return void this.fail(error);
    if (error.retry === "refresh" && this.#token.renew()) void this.#prepareToken();
    else this.#askAgain(this.#host.backoff.jittered(RESUBSCRIBE_TRY));
  }

  /** Subscribes once more on the present connection; what arrives until then is not wanted. */
  #askAgain(ms: number): void {
    this.#suspend();
    const again = (): void => {
      const { connection } = this.#host;
      if (connection) this.join(connection);
    };
    if (ms === 0) again();
    else this.#cancelTimer = this.#host.clock.after(ms, again);
  }

  async #sendToken(token: string): Promise<{ ttl?: number }> {
    this.#tokenText = token;
    if (!this.#askedOn) throw unreachable("not subscribed");
    return this.#askedOn.request("sub_refresh", { channel: this.channel, token });
  }

  /** What arrives from now on, and answers under way, belong to the past. */
  #suspend(): void {
    this.#asks++;
    this.#live = false;
    this.#cancelTimer?.();
    this.#renewal.stop();
    if (!this.#acks) return;
    // The server hands out unacknowledged messages again.
    this.#acks.reset();
    this.#inbox.forgetQueued(this.#delivery.current);
  }

  // ── handling ───────────────────────────────────────────────────────────────

  #store(position: Position): Promise<void> | void {
    return this.#host.cursors?.set(this.channel, position);
  }

  #advanced(): void {
    this.#acknowledge();
    if (!this.#paused || !this.#inbox.drained) return;
    this.#paused = false;
    const { connection } = this.#host;
    if (connection) this.join(connection);
  }

  #acknowledge(): void {
    const position = this.#inbox.acknowledgeable;
    if (position && this.#live) this.#acks?.advance(position);
  }

  async #sendAck(position: Position): Promise<unknown> {
    return this.#askedOn?.request("ack", { channel: this.channel, ...position });
  }

  /** A message of an acknowledged subscription was not handled: the server is to send it again. */
  #failed({ position, round }: Item<Data>): void {
    const isPresent = this.#live && round === this.#inbox.round;
    // What was handled before it goes first: the server counts the attempts of the message right after that.
    if (isPresent) this.#acks?.flush();
    this.#inbox.rewind();
    const delay = this.#host.backoff.delay(RESUBSCRIBE_TRY);
    if (!this.#live || !position) return;
    // It came by an earlier subscribe, which the server knows nothing of any more.
    if (!isPresent) return this.#askAgain(delay);
    const ask = this.#asks;
    this.#askedOn?.ask("nack", { channel: this.channel, ...position }, (error) => {
      if (error && ask === this.#asks) this.#askAgain(delay);
    });
  }

  /** The handler is slower than the channel. */
  #overflow(): void {
    // The server holds back by itself.
    if (this.#acks) return;
    if (!this.#inbox.queued) {
      while (this.#inbox.full) this.#inbox.dropOldest();
      return;
    }
    this.#paused = true;
    this.#suspend();
    this.#askedOn?.ask("unsubscribe", { channel: this.channel }, () => {});
    this.#askedOn = undefined;
  }

  // ── the end ────────────────────────────────────────────────────────────────

  async #close(forget: boolean, error: TodokuError | undefined): Promise<void> {
    const { clock, timeoutMs, cursors } = this.#host;
    const { channel } = this;
    this.#cancelTimer?.();
    this.#preparing.stop();
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
    this.#suspend();
    try {
      await this.#unsubscribe(forget);
      if (forget) await cursors?.delete(channel);
    } finally {
      // The next one waits for both.
      await this.#after;
      this.#host.gone(this);
    }
  }

  async #unsubscribe(forget: boolean): Promise<void> {
    const mustForget = forget && this.#options.durable !== undefined;
    const connection = this.#askedOn;
    this.#askedOn = undefined;
    if (!connection) {
      if (mustForget) throw unreachable(`the durable cursor of ${this.channel} is kept: not connected`);
      return;
    }
    try {
      await connection.request("unsubscribe", { channel: this.channel, ...(mustForget && { forget }) });
    } catch (error) {
      if (mustForget) throw error;
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
