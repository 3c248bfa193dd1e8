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
import type { SubscribeOptions, Subscription, SubscriptionEvents, SubscriptionState } from "./subscription.ts";
import { renewalMs, Token } from "./token.ts";
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
  readonly #warned = new Set<string>();
  readonly #token: Token;
  /** Settles when the earlier subscription to the channel has gone. How it ended is its own affair. */
  readonly #after: Promise<void> | undefined;
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
  /** Of the next subscribe, or of the token's renewal. */
  #cancelTimer: (() => void) | undefined;
  /** Of the application's function that failed. */
  #cancelWait: (() => void) | undefined;
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
    this.#inbox = new Inbox(channel);
    const { durable, ack, inFlight = DEFAULT_IN_FLIGHT, maxAttempts = DEFAULT_ATTEMPTS } = options;
    const acked = durable !== undefined || ack === true;
    const { clock, backoff } = host;
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
    this.#asks++;
    this.#live = false;
    this.#askedOn = undefined;
    this.#cancelTimer?.();
    this.#acks?.reset();
    // The server hands out unacknowledged messages again.
    if (this.#acks) this.#inbox.forgetQueued(this.#delivery.current);
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
    const { cursors } = this.#host;
    const position = await this.#obtain(
      async () => cursors?.get(this.channel),
      (cause) => new TodokuError(CLIENT_ERRORS.cursorStoreFailed, `reading the position of ${this.channel}`, { cause }),
    );
    if (position) this.#inbox.restore(position);
    await this.#prepareToken();
  }

  /** Fetches the token and subscribes, if there is a connection. */
  async #prepareToken(): Promise<void> {
    this.#prepared = false;
    this.#tokenText = await this.#obtain(
      () => this.#token.current(),
      (cause) => asError(cause, CLIENT_ERRORS.tokenFailed, this.channel),
    );
    this.#prepared = true;
    const { connection } = this.#host;
    if (connection) this.joinLate(connection);
  }

  /** Tries until it works, for the application's own functions. What cannot be had ends the subscription. */
  async #obtain<T>(get: () => Promise<T>, asFailure: (cause: unknown) => TodokuError): Promise<T | undefined> {
    const { backoff, clock } = this.#host;
    const { maxAttempts = DEFAULT_ATTEMPTS } = this.#options;
    for (let attempt = 1; this.#state !== "closed"; attempt++) {
      try {
        return await get();
      } catch (cause) {
        const error = asFailure(cause);
        const last = error.code === CLIENT_ERRORS.cursorStoreFailed.code && attempt >= maxAttempts;
        if (last || (error.retry === "stop" && error === cause)) {
          void this.fail(error);
          break;
        }
        this.#tell("error", error);
        await new Promise<void>((resolve) => {
          this.#cancelWait = clock.after(backoff.delay(attempt - 1), resolve);
        });
      }
    }
    return undefined;
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
    if (ttl !== undefined) this.#renewAfter(renewalMs(ttl), 0);
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
    this.#asks++;
    this.#live = false;
    this.#cancelTimer?.();
    this.#acks?.reset();
    if (this.#acks) this.#inbox.forgetQueued(this.#delivery.current);
    const again = (): void => {
      const { connection } = this.#host;
      if (connection) this.join(connection);
    };
    if (ms === 0) again();
    else this.#cancelTimer = this.#host.clock.after(ms, again);
  }

  #renewAfter(ms: number, tries: number): void {
    // Without a token the end was set by the server's own decision, which a new subscribe asks for.
    if (this.#tokenText === undefined) return;
    this.#cancelTimer = this.#host.clock.after(ms, () => void this.#renew(tries));
  }

  async #renew(tries: number): Promise<void> {
    const ask = this.#asks;
    this.#token.renew();
    try {
      this.#tokenText = await this.#token.current();
      const connection = this.#askedOn;
      if (ask !== this.#asks || !connection) return;
      const { ttl } = await connection.request("sub_refresh", { channel: this.channel, token: this.#tokenText ?? "" });
      if (ask === this.#asks && ttl !== undefined) this.#renewAfter(renewalMs(ttl), 0);
    } catch (error) {
      if (ask !== this.#asks) return;
      this.#tell("error", asError(error, CLIENT_ERRORS.tokenFailed, this.channel));
      this.#renewAfter(this.#host.backoff.delay(tries), tries + 1);
    }
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
    this.#asks++;
    this.#live = false;
    this.#cancelTimer?.();
    this.#askedOn?.ask("unsubscribe", { channel: this.channel }, () => {});
    this.#askedOn = undefined;
  }

  // ── the end ────────────────────────────────────────────────────────────────

  async #close(forget: boolean, error: TodokuError | undefined): Promise<void> {
    const { clock, timeoutMs, cursors } = this.#host;
    const { channel } = this;
    this.#cancelTimer?.();
    this.#cancelWait?.();
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
    this.#asks++;
    this.#live = false;
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

  /** An event that must not be overlooked. `heard`: the application learns of it in another way as well. */
  #tell<Name extends "gap" | "error">(name: Name, payload: SubscriptionEvents[Name], heard = false): void {
    if (this.#events.emit(name, payload) || heard || this.#warned.has(name)) return;
    this.#warned.add(name);
    const advice = `listen with subscription.on(${JSON.stringify(name)}, …); this is said once`;
    console.warn(`todoku: ${name} on ${this.channel}, and nobody listens (${advice}):`, payload);
  }
}
