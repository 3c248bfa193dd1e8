/** One subscription as the server knows it: asked for on each connection until it is in force, with a token that is kept fresh. */
import {
  CLIENT_ERRORS,
  ERRORS,
  type Position,
  type SubscribeRequest,
  type SubscribeResult,
  type TodokuError,
} from "@todoku/protocol";
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { asError, unreachable, unsubscribeError } from "./errors.ts";
import { Renewal } from "./renewal.ts";
import { Retrying } from "./retrying.ts";
import { Token, type TokenSource } from "./token.ts";

export interface EnrolmentHost {
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** The connection, once its `connect` was accepted. */
  readonly connection: Connection | undefined;
}

export interface EnrolmentEvents {
  /** What to ask for, but the token. */
  request(): SubscribeRequest;
  accepted(result: SubscribeResult): void;
  /** It is not in force any more, or for the time being: what still arrives is not wanted. */
  suspended(): void;
  /** The application's token function failed; it is asked again. */
  troubled(error: TodokuError): void;
  /** The server, or the token function, said no for good. */
  refused(error: TodokuError): void;
}

/** Past it the server numbers unsubscribes that are to be subscribed again. */
const SUBSCRIBE_AGAIN = 2500;
/** One that was in force is asked for again as if this many tries had failed. */
const AGAIN_TRY = 2;

export class Enrolment {
  readonly #host: EnrolmentHost;
  readonly #channel: string;
  readonly #events: EnrolmentEvents;
  readonly #token: Token;
  readonly #renewal: Renewal;
  readonly #fetching: Retrying;
  #text: string | undefined;
  /** The token is at hand. */
  #prepared = false;
  #paused = false;
  #stopped = false;
  #inForce = false;
  /** The connection that the last subscribe was sent on. */
  #connection: Connection | undefined;
  /** Counts subscribes; answers to older ones mean nothing. */
  #asks = 0;
  #tries = 0;
  #cancelAgain: (() => void) | undefined;

  constructor(host: EnrolmentHost, channel: string, source: TokenSource | undefined, events: EnrolmentEvents) {
    this.#host = host;
    this.#channel = channel;
    this.#events = events;
    this.#token = new Token(source, `the token of ${channel}`);
    const { clock, backoff } = host;
    this.#fetching = new Retrying(clock, backoff);
    this.#renewal = new Renewal({
      clock,
      backoff,
      token: this.#token,
      send: (token) => this.#sendToken(token),
      failed: (error) => events.troubled(error),
    });
  }

  /** What arrives belongs to the present subscribe. */
  get inForce(): boolean {
    return this.#inForce;
  }

  /** It may be asked for from now on: fetches the token, and subscribes if there is a connection. */
  async begin(): Promise<void> {
    this.#prepared = false;
    if (this.#stopped) return;
    const token = await this.#fetching.until(
      () => this.#token.current(),
      (cause) => {
        const error = asError(cause, CLIENT_ERRORS.tokenFailed, this.#channel);
        if (error.retry === "stop") this.#events.refused(error);
        else this.#events.troubled(error);
        return error.retry !== "stop";
      },
    );
    if (!token) return;
    this.#text = token.value;
    this.#prepared = true;
    const { connection } = this.#host;
    if (connection) this.joinLate(connection);
  }

  /** A connection is there, or about to be: its `connect` leaves in the same frame. */
  join(connection: Connection): void {
    if (this.#prepared && !this.#paused && !this.#stopped) this.#ask(connection);
  }

  /** The connection was accepted: what was not ready yet when it opened is asked for now. */
  joinLate(connection: Connection): void {
    if (this.#connection !== connection) this.join(connection);
  }

  /** The connection is gone. */
  lost(): void {
    this.#suspend();
    this.#connection = undefined;
  }

  /** The server ended it. */
  ended(code: number, reason: string): void {
    const error = unsubscribeError(code, reason);
    this.lost();
    if (code < SUBSCRIBE_AGAIN) this.#events.refused(error);
    else if (error.retry === "refresh" && this.#token.renew()) void this.begin();
    else this.again();
  }

  /** Subscribes once more on the present connection, at once or after a while. */
  again(ms: number = this.#host.backoff.jittered(AGAIN_TRY)): void {
    this.#suspend();
    const ask = (): void => {
      const { connection } = this.#host;
      if (connection) this.join(connection);
    };
    if (ms === 0) ask();
    else this.#cancelAgain = this.#host.clock.after(ms, ask);
  }

  /** Unsubscribes until `resume`. */
  pause(): void {
    this.#paused = true;
    this.#suspend();
    this.#connection?.ask("unsubscribe", { channel: this.#channel }, () => {});
    this.#connection = undefined;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const { connection } = this.#host;
    if (connection) this.join(connection);
  }

  async ack(position: Position): Promise<unknown> {
    return this.#connection?.request("ack", { channel: this.#channel, ...position });
  }

  /** The message at `position` is to come again; if the server does not take that, all comes again by a new subscribe. */
  nack(position: Position): void {
    const ask = this.#asks;
    this.#connection?.ask("nack", { channel: this.#channel, ...position }, (error) => {
      if (error && ask === this.#asks) this.again();
    });
  }

  /** Asks no more. What is in force stays so until `leave`. */
  stop(): void {
    this.#stopped = true;
    this.#fetching.stop();
    this.#cancelAgain?.();
  }

  /** Unsubscribes. @throws TodokuError if `forget` was asked for and the durable cursor may still be there. */
  async leave(forget: boolean): Promise<void> {
    this.#suspend();
    const connection = this.#connection;
    this.#connection = undefined;
    try {
      if (!connection) throw unreachable(`the durable cursor of ${this.#channel} is kept: not connected`);
      await connection.request("unsubscribe", { channel: this.#channel, ...(forget && { forget }) });
    } catch (error) {
      if (forget) throw error;
    }
  }

  #ask(connection: Connection): void {
    // An earlier subscribe may be in force, or have been answered too late.
    if (this.#connection === connection) connection.ask("unsubscribe", { channel: this.#channel }, () => {});
    this.#connection = connection;
    this.#inForce = false;
    const ask = ++this.#asks;
    const request = { ...this.#events.request(), ...(this.#text !== undefined && { token: this.#text }) };
    connection.ask("subscribe", request, (error, result) => {
      if (ask !== this.#asks || this.#stopped) return;
      if (error) this.#refused(error);
      else this.#accepted(result);
    });
  }

  #accepted(result: SubscribeResult): void {
    this.#inForce = true;
    this.#tries = 0;
    // Without a token the end was set by the application's hook, which a new subscribe asks again.
    if (this.#text !== undefined) this.#renewal.begin(result.ttl);
    this.#events.accepted(result);
  }

  #refused(error: TodokuError): void {
    const renewable = error.retry === "refresh" && this.#token.renew();
    // The server subscribed this client by itself: with an unsubscribe before it, the application's own takes its place.
    const isTaken = error.code === ERRORS.alreadySubscribed.code;
    if (error.retry !== "retry" && !renewable && !isTaken) return this.#events.refused(error);
    const tries = this.#tries++;
    const ms = this.#host.backoff.jittered(tries);
    // The first time that is everyday life; a token that has expired as soon as it is fetched is not.
    const soon = tries === 0 ? 0 : ms;
    if (!renewable) return this.again(isTaken ? soon : ms);
    this.lost();
    this.#cancelAgain = this.#host.clock.after(soon, () => void this.begin());
  }

  async #sendToken(token: string): Promise<{ ttl?: number }> {
    this.#text = token;
    if (!this.#connection) throw unreachable("not subscribed");
    return this.#connection.request("sub_refresh", { channel: this.#channel, token });
  }

  /** What arrives from now on, and answers under way, belong to the past. */
  #suspend(): void {
    this.#asks++;
    this.#inForce = false;
    this.#cancelAgain?.();
    this.#renewal.stop();
    this.#events.suspended();
  }
}
