/** The client: one connection, any number of subscriptions and publishes. */
import {
  CLIENT_ERRORS,
  ERRORS,
  TodokuError,
  type ClientInfo,
  type Json,
  type Method,
  type Position,
  type Push,
  type Requests,
  type Results,
} from "@todoku/protocol";
import { Backoff } from "./backoff.ts";
import type { AnyChannel, ChannelOf } from "./channels.ts";
import { ChannelSubscription, type SubscriptionHost } from "./channel-subscription.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Handler } from "./delivery.ts";
import { Events } from "./events.ts";
import { messageOf, type Message } from "./message.ts";
import type { TodokuOptions } from "./options.ts";
import type { ClientPart, PartClient, PartHost } from "./part.ts";
import { Publishing, type Published, type PublishingHost, type PublishOptions } from "./publishing.ts";
import { Session, type State } from "./session.ts";
import type { SubscribeOptions, Subscription } from "./subscription.ts";
import { Token } from "./token.ts";
import { socketUrl } from "./url.ts";
import type { WebSocketConstructor } from "./web-socket.ts";
import { within } from "./within.ts";

export interface TodokuEvents {
  state: State;
  /**
   * What the application should know and no call reports: the server cannot be reached (once per outage), the token's function
   * failed, the client was refused for good. Warns on the console if nobody listens.
   */
  error: TodokuError;
  /** The server's own word to this client. */
  message: Json;
}

export interface HistoryOptions {
  /** Most messages; default as many as the server allows. 0: only the position. */
  readonly limit?: number;
  /** Messages after it (or before it, in reverse). */
  readonly since?: Position;
  /** Newest first. */
  readonly reverse?: boolean;
}

export interface History<Data = Json> {
  readonly messages: readonly Message<Data>[];
  /** Of the channel's last message. */
  readonly position: Position;
}

const DEFAULT_BACKOFF = { firstMs: 200, lastMs: 20_000 };

/**
 * A client of a todoku server. It connects by itself at the first use, and comes back after every loss.
 *
 * ```ts
 * const client = new Todoku("wss://example.com", { token: () => fetchToken() });
 * client.subscribe("chat:42", async (message) => show(message.data));
 * await client.publish("chat:42", { text: "hi" });
 * ```
 */
export class Todoku<Channels extends object = AnyChannel> implements PartClient {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #events = new Events<TodokuEvents>();
  readonly #session: Session;
  readonly #publishing: Publishing;
  readonly #subscriptions = new Map<string, ChannelSubscription<unknown>>();
  readonly #parts = new Set<ClientPart>();
  readonly #host: SubscriptionHost & PublishingHost & PartHost;
  /** Channels of which the application was told that it does not receive them. */
  readonly #toldOf = new Set<string>();
  #closing: Promise<void> | undefined;

  /**
   * `url`: `ws://host:8000`, `https://host`, or with a path; a missing path becomes `/connection/websocket`.
   *
   * @throws TodokuError 107 for what is no such URL, 108 where there is no WebSocket.
   */
  constructor(url: string, options: TodokuOptions = {}) {
    const { clock = systemClock, timeoutMs = 10_000, publishTimeoutMs = 60_000, token, data, name } = options;
    const { cursors, channelToken } = options;
    const backoff = new Backoff(clock, options.backoff ?? DEFAULT_BACKOFF);
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#session = new Session(
      {
        url: socketUrl(url),
        WebSocket: options.WebSocket ?? globalWebSocket(),
        clock,
        timeoutMs,
        backoff,
        token: new Token(token, "the connection token"),
        ...(data !== undefined && { data }),
        ...(name !== undefined && { name }),
      },
      {
        opening: (connection) => {
          for (const part of this.#parts) part.join(connection);
          for (const subscription of this.#subscriptions.values()) subscription.join(connection);
        },
        connected: (connection) => {
          for (const part of this.#parts) part.join(connection);
          for (const subscription of this.#subscriptions.values()) subscription.joinLate(connection);
          this.#publishing.pump();
        },
        lost: () => {
          for (const part of this.#parts) part.left();
          for (const subscription of this.#subscriptions.values()) subscription.left();
        },
        push: (push, size) => this.#push(push, size),
        state: (state) => this.#events.emit("state", state),
        error: (error) => this.#tell(error),
        closed: (error) => this.#closed(error),
      },
    );
    const session = this.#session;
    this.#host = {
      clock,
      backoff,
      timeoutMs,
      publishTimeoutMs,
      cursors,
      channelToken,
      get connection(): Connection | undefined {
        return session.connection;
      },
      gone: (gone) => {
        this.#parts.delete(gone as ClientPart);
        for (const [channel, one] of this.#subscriptions) {
          if (one === gone) this.#subscriptions.delete(channel);
        }
      },
    };
    this.#publishing = new Publishing(this.#host);
  }

  get state(): State {
    return this.#session.state;
  }

  /** The connection's id, while connected. */
  get id(): string | undefined {
    return this.#session.id;
  }

  /** The returned function removes the listener. */
  on<Name extends keyof TodokuEvents>(name: Name, listener: (payload: TodokuEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Connects, if that has not begun yet. Resolves when connected; losses on the way are retried.
   *
   * @throws TodokuError when the server refuses in a way that another try cannot change, or the client is closed.
   */
  async connect(): Promise<void> {
    await this.#session.connect();
  }

  /**
   * Cuts the connection; it stays so until `connect()`. Subscriptions and their positions are kept, publishes wait within their
   * time limit.
   */
  disconnect(): void {
    this.#session.disconnect();
  }

  /**
   * Subscribes to a channel. The handler is given one message at a time, in order; the next is not begun before what it returned
   * has resolved. Without a handler the subscription is iterated: `for await (const message of client.subscribe("chat:42"))`.
   *
   * A handler that throws gets the message again, after a growing delay (see `maxAttempts`); on channels that keep no log the
   * failure is an `error` event and the next message follows.
   *
   * @throws TodokuError 105 when this client is subscribed to the channel already: share that subscription, or close it first;
   * 451 when the client is closed.
   */
  subscribe<C extends ChannelOf<Channels>>(
    channel: C,
    handler: Handler<Channels[C]>,
    options?: SubscribeOptions,
  ): Subscription<Channels[C]>;
  subscribe<C extends ChannelOf<Channels>>(channel: C, options?: SubscribeOptions): Subscription<Channels[C]>;
  subscribe<C extends ChannelOf<Channels>>(
    channel: C,
    first: Handler<Channels[C]> | SubscribeOptions = {},
    second: SubscribeOptions = {},
  ): Subscription<Channels[C]> {
    const [handler, options] = typeof first === "function" ? [first, second] : [undefined, first];
    this.#mustBeOpen();
    const earlier = this.#subscriptions.get(channel);
    if (earlier && earlier.state !== "closed") {
      const advice = "share that subscription, or close it first";
      throw new TodokuError(ERRORS.alreadySubscribed, `this client is subscribed to ${channel}; ${advice}`);
    }
    const subscription = new ChannelSubscription<Channels[C]>(this.#host, channel, handler, options, earlier?.closing);
    this.#subscriptions.set(channel, subscription as ChannelSubscription<unknown>);
    this.#session.start();
    return subscription;
  }

  attach<P extends ClientPart>(make: (host: PartHost) => P): P {
    this.#mustBeOpen();
    const part = make(this.#host);
    this.#parts.add(part);
    this.#session.start();
    return part;
  }

  /**
   * Publishes, and repeats it with the same idempotency key after a lost reply, a lost connection or a passing trouble of the
   * server, until it is answered or `publishTimeoutMs` have passed. Calls are sent in their order; at most 1,000 may wait.
   *
   * @throws TodokuError 403 `outcome_unknown` when the message may be stored or not; every other code means that it certainly is
   * not: 103 not allowed, 400 too large, 106 too many wait, 402 or 450 not reached in time, 452 aborted, …
   */
  publish<C extends ChannelOf<Channels>>(
    channel: C,
    data: Channels[C],
    options: PublishOptions = {},
  ): Promise<Published> {
    try {
      this.#mustBeOpen();
    } catch (error) {
      return Promise.reject(error);
    }
    this.#session.start();
    return this.#publishing.publish(channel, data, options);
  }

  /** Reads the channel's log. @throws TodokuError 103 not allowed, 108 nothing is kept, 112 `since` is of another epoch. */
  async history<C extends ChannelOf<Channels>>(
    channel: C,
    { limit = -1, since, reverse }: HistoryOptions = {},
  ): Promise<History<Channels[C]>> {
    const { publications, epoch, offset } = await this.#request("history", {
      channel,
      limit,
      ...(since && { since }),
      ...(reverse !== undefined && { reverse }),
    });
    return {
      messages: publications.map((publication) => messageOf(channel, publication, epoch)),
      position: { epoch, offset },
    };
  }

  /** Who is subscribed, by connection. @throws TodokuError 103 not allowed. */
  async presence(channel: ChannelOf<Channels>): Promise<Readonly<Record<string, ClientInfo>>> {
    const { presence } = await this.#request("presence", { channel });
    return presence;
  }

  /** How many are subscribed. @throws TodokuError 103 not allowed. */
  async presenceStats(channel: ChannelOf<Channels>): Promise<{ readonly clients: number; readonly users: number }> {
    const { num_clients, num_users } = await this.#request("presence_stats", { channel });
    return { clients: num_clients, users: num_users };
  }

  /** Calls the server's `onRpc` hook. @throws TodokuError 104 without one, and 450 when the answer was lost: it may have run. */
  async rpc(method: string, data?: Json): Promise<Json | undefined> {
    const result = await this.#request("rpc", { method, ...(data !== undefined && { data }) });
    return result.data;
  }

  /** Hands data to the server's `onSend` hook, which does not answer. Resolves when it was handed to the connection. */
  async send(data: Json): Promise<void> {
    const connection = await this.#session.connected(this.#timeoutMs);
    connection.tell("send", { data });
  }

  /**
   * Ends everything: waits (at most `timeoutMs`) for running handlers and for publishes under way, stores what was acknowledged,
   * closes the socket. Publishes that are left are rejected. Afterwards no timer and no socket is left.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const end = new TodokuError(CLIENT_ERRORS.clientClosed);
    const ending = [...this.#subscriptions.values()].map((subscription) => subscription.close());
    for (const part of this.#parts) ending.push(within(this.#clock, this.#timeoutMs, part.close()));
    if (this.#session.connection) ending.push(within(this.#clock, this.#timeoutMs, this.#publishing.idle()));
    await Promise.allSettled(ending);
    await this.#session.close(end);
  }

  #push(push: Push, size: number): void {
    const { channel, message, pub } = push;
    if (message) this.#events.emit("message", message.data);
    for (const part of this.#parts) part.push(push);
    if (channel === undefined) return;
    const subscription = this.#subscriptions.get(channel);
    if (subscription) subscription.push(push, size);
    else if (pub) this.#unasked(channel);
  }

  /** The server made a subscription of its own, and the application has none to the channel. */
  #unasked(channel: string): void {
    if (this.#toldOf.has(channel)) return;
    this.#toldOf.add(channel);
    const advice = "subscribe to it as well to receive its messages";
    this.#tell(new TodokuError(ERRORS.notAvailable, `the server subscribed this client to ${channel}; ${advice}`));
  }

  /** The session is over: so is everything on it. */
  #closed(error: TodokuError): void {
    const refused = error.code !== CLIENT_ERRORS.clientClosed.code;
    this.#publishing.close(error);
    for (const part of this.#parts) part.fail(error);
    for (const subscription of this.#subscriptions.values()) void subscription.fail(error);
    if (refused) this.#tell(error);
  }

  async #request<M extends Method>(method: M, request: Requests[M]): Promise<Results[M]> {
    const connection = await this.#session.connected(this.#timeoutMs);
    return connection.request(method, request);
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new TodokuError(CLIENT_ERRORS.clientClosed);
    if (this.#session.end) throw this.#session.end;
  }

  #tell(error: TodokuError): void {
    this.#events.alarm("error", error, "an error");
  }
}

function globalWebSocket(): WebSocketConstructor {
  const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor };
  if (!WebSocket) {
    const advice = "give one as the option WebSocket, or use Node 22 or newer";
    throw new TodokuError(ERRORS.notAvailable, `this runtime has no WebSocket; ${advice}`);
  }
  return WebSocket;
}
