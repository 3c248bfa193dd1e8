/** The standing relation with a gateway: connects, keeps the token fresh, comes back after every loss that allows it. */
import {
  CLIENT_ERRORS,
  ERRORS,
  TodokuError,
  reconnects,
  type ConnectResult,
  type Json,
  type Push,
} from "@todoku/protocol";
import type { Backoff } from "./backoff.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { asError, closeError, unreachable } from "./errors.ts";
import { Renewal } from "./renewal.ts";
import type { Token } from "./token.ts";
import { redacted } from "./url.ts";
import { within } from "./within.ts";

/**
 * `idle`: not asked to connect yet, or told to disconnect. `connecting`: on the way, or waiting for the next try.
 * `closed`: for good; by `close()`, or because the server refused in a way that another try cannot change.
 */
export type State = "idle" | "connecting" | "connected" | "closed";

export interface SessionOptions extends ConnectionOptions {
  readonly backoff: Backoff;
  readonly token: Token;
  readonly data?: Json;
  readonly name?: string;
}

export interface SessionEvents {
  /** `connect` was queued on this connection: what is asked in this call leaves in the same frame. */
  opening(connection: Connection): void;
  connected(connection: Connection): void;
  /** The connection that `opening` was called with is gone. */
  lost(): void;
  push(push: Push, size: number): void;
  state(state: State): void;
  error(error: TodokuError): void;
  /** The end; the state is `closed`. */
  closed(error: TodokuError): void;
}

interface Waiter {
  resolve(connection: Connection): void;
  reject(error: TodokuError): void;
}

const EXTENSION_VERSION = 1;
/** Longest wait for the peer's side of the closing handshake. */
const CLOSE_MS = 1_000;

export class Session {
  readonly #options: SessionOptions;
  readonly #events: SessionEvents;
  #state: State = "idle";
  #id: string | undefined;
  #connection: Connection | undefined;
  #disconnected = false;
  #end: TodokuError | undefined;
  /** Since the last accepted `connect`. */
  #tries = 0;
  /** Counts what makes a dial under way obsolete. */
  #dials = 0;
  /** The application has been told of this outage. */
  #complained = false;
  #cancelRetry: (() => void) | undefined;
  readonly #waiters = new Set<Waiter>();
  readonly #renewal: Renewal;

  constructor(options: SessionOptions, events: SessionEvents) {
    this.#options = options;
    this.#events = events;
    const { clock, backoff, token } = options;
    this.#renewal = new Renewal({
      clock,
      backoff,
      token,
      send: async (token) => (await this.connected()).request("refresh", { token }),
      failed: (error) => events.error(error),
    });
  }

  get state(): State {
    return this.#state;
  }

  /** The connection's id, while connected. */
  get id(): string | undefined {
    return this.#id;
  }

  /** The connection, once its `connect` was accepted. */
  get connection(): Connection | undefined {
    return this.#state === "connected" ? this.#connection : undefined;
  }

  /** Why it was closed. */
  get end(): TodokuError | undefined {
    return this.#end;
  }

  /** Connects if nobody has yet, unless the application disconnected. */
  start(): void {
    if (this.#state !== "idle" || this.#disconnected) return;
    this.#become("connecting");
    void this.#dial();
  }

  /** Resolves when connected. @throws TodokuError when it is closed before, or after `withinMs`. */
  connected(withinMs?: number): Promise<Connection> {
    this.start();
    const { connection } = this;
    if (connection) return Promise.resolve(connection);
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const cancel =
        withinMs === undefined
          ? undefined
          : this.#options.clock.after(withinMs, () => {
              this.#waiters.delete(waiter);
              reject(unreachable(`not connected within ${withinMs} ms`));
            });
      const waiter: Waiter = {
        resolve: (connection) => {
          cancel?.();
          resolve(connection);
        },
        reject: (error) => {
          cancel?.();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  /** As `connected`, and ends what `disconnect` began. */
  connect(): Promise<Connection> {
    this.#disconnected = false;
    return this.connected();
  }

  /** Cuts the connection; it stays so until `connect`. */
  disconnect(): void {
    if (this.#state === "closed") return;
    this.#disconnected = true;
    void this.#drop();
    this.#become("idle");
  }

  /** Ends it for good. Resolves when the socket is closed. */
  async close(error: TodokuError): Promise<void> {
    if (this.#state === "closed") return;
    const dropped = this.#drop();
    this.#end = error;
    this.#become("closed");
    for (const waiter of this.#takeWaiters()) waiter.reject(error);
    this.#events.closed(error);
    if (dropped) await within(this.#options.clock, CLOSE_MS, dropped);
  }

  async #dial(): Promise<void> {
    const dial = ++this.#dials;
    let token: string | undefined;
    try {
      token = await this.#options.token.current();
    } catch (error) {
      if (dial === this.#dials) this.#refused(asError(error, CLIENT_ERRORS.tokenFailed, "connection token"));
      return;
    }
    if (dial !== this.#dials) return;
    try {
      const connection: Connection = new Connection(this.#options, {
        opened: () => this.#opened(connection, token),
        push: (push, size) => this.#events.push(push, size),
        ended: (code, reason) => this.#lost(code, reason),
      });
      this.#connection = connection;
    } catch (cause) {
      // A page's security policy may forbid even to make the WebSocket.
      this.#refused(asError(cause, CLIENT_ERRORS.unreachable, redacted(this.#options.url)));
    }
  }

  #opened(connection: Connection, token: string | undefined): void {
    const { data, name } = this.#options;
    const request = {
      ...(token !== undefined && { token }),
      ...(data !== undefined && { data }),
      ...(name !== undefined && { name }),
      todoku: { version: EXTENSION_VERSION },
    };
    connection.ask("connect", request, (error, result) => {
      if (connection !== this.#connection) return;
      if (error) this.#refused(error);
      else this.#accepted(connection, result);
    });
    this.#events.opening(connection);
  }

  #accepted(connection: Connection, result: ConnectResult): void {
    if (!result.todoku) {
      const error = new TodokuError(
        ERRORS.notAvailable,
        "the server does not speak todoku's extension of the protocol",
      );
      return void this.close(error);
    }
    this.#id = result.client;
    this.#tries = 0;
    this.#complained = false;
    connection.watch((result.ping ?? Number.POSITIVE_INFINITY) * 1000, result.pong === true);
    this.#renewal.begin(result.ttl);
    this.#become("connected");
    // A listener may have disconnected at once.
    if (connection !== this.#connection) return;
    for (const waiter of this.#takeWaiters()) waiter.resolve(connection);
    this.#events.connected(connection);
  }

  /** No connection came about, for a reason that the server or the token's source gave. */
  #refused(error: TodokuError): void {
    const renewable = error.retry === "refresh" && this.#options.token.renew();
    if (error.retry === "stop" || (error.retry === "refresh" && !renewable)) return void this.close(error);
    void this.#drop();
    // An expired token is everyday life; anything else the application should know of.
    this.#tryAgain(renewable ? undefined : error);
  }

  #lost(code: number, reason: string): void {
    const error = closeError(code, reason);
    const wasConnected = this.#state === "connected";
    void this.#drop();
    if (error.retry === "refresh") this.#options.token.renew();
    if (!reconnects(code)) return void this.close(error);
    this.#tryAgain(wasConnected ? undefined : unreachable(`${redacted(this.#options.url)}: ${error.message}`));
  }

  /** Tells of `error` once per outage. The timer comes first: a listener may disconnect or close. */
  #tryAgain(error: TodokuError | undefined): void {
    this.#cancelRetry = this.#options.clock.after(this.#options.backoff.jittered(this.#tries++), () => {
      void this.#dial();
    });
    this.#become("connecting");
    if (!error || this.#complained) return;
    this.#complained = true;
    this.#events.error(error);
  }

  /** Lets go of the connection and of everything that was to come of it. */
  #drop(): Promise<void> | undefined {
    this.#dials++;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#renewal.stop();
    const connection = this.#connection;
    this.#connection = undefined;
    this.#id = undefined;
    if (!connection) return undefined;
    this.#events.lost();
    return connection.close();
  }

  #takeWaiters(): readonly Waiter[] {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    return waiters;
  }

  #become(state: State): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.state(state);
  }
}
