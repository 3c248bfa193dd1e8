/** One client connection, from the handshake to the close: the order of its commands, its subscriptions, its expiry. */
import {
  CLOSES,
  ERRORS,
  UNSUBSCRIBES,
  TodokuError,
  decodeCommands,
  encodePush,
  encodeReply,
  type ClientInfo,
  type Code,
  type DecodedCommand,
  type Gap,
  type Json,
  type Method,
  type Push,
  type Reply,
  type Retry,
} from "@todoku/protocol";
import type { Clock } from "../clock.ts";
import type { Caller } from "../hooks.ts";
import { runCommand } from "./commands.ts";
import { CommandsUnderWay } from "./commands-under-way.ts";
import type { SessionConsumer } from "./consumer.ts";
import { channelOf, RECEIPTS, WAITED_FOR, type RunnableCommand } from "./command-order.ts";
import type { GatewayContext } from "./context.ts";
import { storeDeadLetter } from "./dead-letters.ts";
import type { GatewayObserver } from "./observer.ts";
import { Outbox, type OutboxOwner } from "./outbox.ts";
import { Parcel } from "./parcel.ts";
import type { SharedPublication } from "./shared-publication.ts";
import type { Handshake, Socket, SocketEvents } from "./socket.ts";
import type { Subscription, SubscriptionHost } from "./subscription.ts";
import { endSubscription } from "./subscribe.ts";
import { Subscriptions } from "./subscriptions.ts";

const PING = new Parcel("{}");
const NO_CONSUMERS: ReadonlyMap<string, SessionConsumer> = new Map();
/** After a token's expiry the client has this long to refresh it. */
const EXPIRY_GRACE_MS = 25_000;
/** How a connection ends whose `connect` was answered with an error, by what the client should do about that error. */
const AFTER_FAILED_CONNECT: Readonly<Record<Retry, Code>> = {
  retry: CLOSES.reconnect,
  refresh: CLOSES.expired,
  stop: CLOSES.doNotReconnect,
};

/** What a connection turned out to be once `connect` was accepted. */
export interface Identity {
  readonly user: string;
  readonly info?: Json;
  /** Seconds since 1970. */
  readonly expireAt?: number;
  /** The client understands the extension. */
  readonly extended: boolean;
}

export class Session implements SocketEvents, OutboxOwner, SubscriptionHost, Caller {
  /** The connection's id, a UUID. */
  readonly client: string;
  readonly address: string;
  readonly origin: string | undefined;
  readonly context: GatewayContext;
  readonly outbox: Outbox;
  readonly subscriptions: Subscriptions = new Subscriptions();
  // What most connections have nothing of most of the time is made when it is needed: there are very many connections.
  #consumers: Map<string, SessionConsumer> | undefined;
  #busyChannels: Map<string, Promise<void>> | undefined;
  #identity: Identity | undefined;
  #connecting: Promise<void> | undefined;
  #reserved: Set<string> | undefined;
  readonly #underWay: CommandsUnderWay;
  #refusing = false;
  #awaitingPong = false;
  #closed = false;
  #ending: Code | undefined;
  #cancelDeadline: (() => void) | undefined;

  constructor(context: GatewayContext, socket: Socket, { address, origin }: Handshake) {
    this.context = context;
    this.client = context.clock.uuid();
    this.address = address;
    this.origin = origin;
    this.#underWay = new CommandsUnderWay(4 * context.limits.queue_bytes);
    this.outbox = new Outbox(socket, context, context.limits.queue_bytes, this);
    context.open.add(this);
    this.#cancelDeadline = context.clock.after(context.limits.connect_timeout, () =>
      // A slow answer of the application is not the client's fault: it may come again.
      this.end(this.#connecting ? CLOSES.internal : CLOSES.stale),
    );
  }

  get user(): string {
    return this.#identity?.user ?? "";
  }
  get connected(): boolean {
    return this.#identity !== undefined && !this.#closed;
  }
  get ended(): boolean {
    return this.#closed;
  }
  get extended(): boolean {
    return this.#identity?.extended ?? false;
  }
  get info(): ClientInfo {
    const info = this.#identity?.info;
    return { user: this.user, client: this.client, ...(info !== undefined && { conn_info: info }) };
  }
  /** By queue and group; those that take no further jobs as well. */
  get consumers(): ReadonlyMap<string, SessionConsumer> {
    return this.#consumers ?? NO_CONSUMERS;
  }
  get clock(): Clock {
    return this.context.clock;
  }
  get observer(): GatewayObserver {
    return this.context.observer;
  }

  // ── from the socket ────────────────────────────────────────────────────────

  message(text: string): void {
    if (this.#ending || this.#refusing) return;
    let commands: readonly DecodedCommand[];
    try {
      const { frame_commands, json_depth } = this.context.limits;
      commands = decodeCommands(text, { commands: frame_commands, depth: json_depth });
    } catch (error) {
      this.end(CLOSES.badRequest, error instanceof TodokuError ? error.message : undefined);
      return;
    }
    const size = text.length / commands.length;
    for (const command of commands) {
      if (this.#ending) return;
      this.#take(command, size);
    }
  }

  drained(): void {
    this.outbox.checkRoom();
  }

  closed(): void {
    this.context.open.delete(this);
    this.outbox.gone();
    this.#ending ??= CLOSES.closed;
    this.#release();
  }

  ping(): void {
    this.#awaitingPong = true;
    this.outbox.push(PING);
  }

  checkPong(): void {
    if (this.#awaitingPong) this.end(CLOSES.noPong);
  }

  // ── commands ───────────────────────────────────────────────────────────────

  #take(command: DecodedCommand, size: number): void {
    const { method } = command;
    if (method === "pong") {
      this.#awaitingPong = false;
      return;
    }
    const first = this.#identity === undefined && this.#connecting === undefined;
    if (first && method !== "connect") return this.end(CLOSES.badRequest, `connect must come first, not ${method}`);
    if (!first && method === "connect") return this.end(CLOSES.badRequest, "connect may come once only");
    if (!this.#admits(method, size)) {
      this.observer.command(method, ERRORS.tooManyRequests.code);
      this.#answerError(command.id, new TodokuError(ERRORS.tooManyRequests));
      return;
    }
    this.#underWay.begin(size);
    const channel = channelOf(command);
    // What concerns a channel waits for a subscribe or unsubscribe of it that came before, and everything for connect.
    const before = this.#busyChannels?.get(channel) ?? this.#connecting;
    const run = before ? before.then(() => this.#run(command, size)) : this.#run(command, size);
    if (method === "connect") {
      this.#connecting = run.then(() => {
        this.#connecting = undefined;
      });
    } else if (WAITED_FOR.has(method) && channel !== "") {
      const busy = (this.#busyChannels ??= new Map<string, Promise<void>>());
      busy.set(channel, run);
      void run.then(() => {
        if (busy.get(channel) === run) busy.delete(channel);
        if (busy.size === 0 && this.#busyChannels === busy) this.#busyChannels = undefined;
      });
    }
  }

  /** Runs one command and answers it. Never rejects. */
  async #run(command: RunnableCommand, size: number): Promise<void> {
    try {
      if (this.#ending) return;
      if ("error" in command) throw command.error;
      await runCommand(this, command, (reply) => this.#answer(command.id, reply));
      this.observer.command(command.method, undefined);
    } catch (error) {
      this.#fail(command, error);
    } finally {
      this.#underWay.end(size);
    }
  }

  #fail({ id, method }: RunnableCommand, error: unknown): void {
    const refusal =
      error instanceof TodokuError ? error : new TodokuError(ERRORS.internal, undefined, { cause: error });
    this.observer.command(method, refusal.code);
    if (refusal.code === ERRORS.internal.code)
      this.observer.backboneFailed(undefined, method, refusal.cause ?? refusal);
    const close = Object.values(CLOSES).find(({ code }) => code === refusal.code);
    if (close) return this.end(close);
    this.#answerError(id, refusal);
    // Commands that were sent along must not be run for somebody who was not let in.
    if (method === "connect") this.end(AFTER_FAILED_CONNECT[refusal.retry]);
  }

  /** Whether one more command may be run, by what is under way and by the rates. */
  #admits(method: Method, size: number): boolean {
    if (!this.#underWay.admits(size)) return false;
    if (RECEIPTS.has(method)) return true;
    const { commands, publish, subscribe, user } = this.context.rates;
    return (
      commands.take(this.client) &&
      (method !== "publish" || publish.take(this.client)) &&
      (method !== "subscribe" || subscribe.take(this.client)) &&
      (this.user === "" || user.take(this.user))
    );
  }

  #answer(id: number | undefined, reply: string | Reply): void {
    if (this.#closed || id === undefined) return;
    this.outbox.push(typeof reply === "string" ? reply : encodeReply({ id, ...reply }));
    if (this.outbox.overrun) this.end(CLOSES.slow);
  }

  #answerError(id: number | undefined, error: TodokuError): void {
    const { code, message, retry } = error;
    this.#answer(id, { error: { code, message, ...(retry === "retry" && { temporary: true }) } });
  }

  // ── life ───────────────────────────────────────────────────────────────────

  /** The connect command was accepted. */
  accept(identity: Identity): void {
    this.#identity = identity;
    this.#cancelDeadline?.();
    this.#cancelDeadline = undefined;
    this.context.heartbeat.add(this);
    this.context.sessions.add(this);
    this.observer.connected();
    this.outbox.socket.authenticated?.();
    this.expireAt(identity.expireAt);
  }

  /** Moves the connection's end; seconds since 1970, undefined for none. Past it there is some time to refresh. */
  expireAt(seconds: number | undefined): void {
    if (this.#closed) return;
    this.#cancelDeadline?.();
    this.#cancelDeadline =
      seconds === undefined
        ? undefined
        : this.clock.after(seconds * 1000 - this.clock.now() + EXPIRY_GRACE_MS, () => this.end(CLOSES.expired));
  }

  /** What replies say of an expiry at `seconds` since 1970. */
  ttl(seconds: number | undefined): { expires?: boolean; ttl?: number } {
    if (seconds === undefined) return {};
    return { expires: true, ttl: Math.max(1, Math.round(seconds - this.clock.now() / 1000)) };
  }

  /**
   * Keeps a place for a subscription that is being made; the returned function gives it back.
   *
   * @throws TodokuError 105 if there is one already, 106 when there are too many.
   */
  reserve(channel: string): () => void {
    const { channels } = this.context.limits;
    const reserved = (this.#reserved ??= new Set());
    if (this.subscriptions.has(channel) || reserved.has(channel)) throw new TodokuError(ERRORS.alreadySubscribed);
    if (this.subscriptions.size + reserved.size >= channels) {
      throw new TodokuError(ERRORS.limitExceeded, `a connection may have ${channels} subscriptions`);
    }
    reserved.add(channel);
    return () => {
      reserved.delete(channel);
      if (reserved.size === 0 && this.#reserved === reserved) this.#reserved = undefined;
    };
  }

  /** `key` says queue and group. */
  addConsumer(key: string, consumer: SessionConsumer): void {
    (this.#consumers ??= new Map()).set(key, consumer);
  }

  /** Answers no command from now on; those under way go on. */
  refuseCommands(): void {
    this.#refusing = true;
    // Nobody could hear that a job is done.
    for (const consumer of this.consumers.values()) consumer.stop();
  }

  push(push: Push): void {
    this.pushText(encodePush(push));
  }

  /** A whole push frame as JSON text. */
  pushText(text: string): void {
    if (!this.#closed) this.outbox.push(text);
  }

  /** Closes the connection; `detail` is appended to the code's reason. */
  end(code: Code, detail?: string): void {
    if (this.#ending) return;
    this.#ending = code;
    this.outbox.flush();
    this.outbox.socket.close(code.code, closeReason(code.message, detail));
    this.#release();
  }

  /** Ends the connection and lets go at once of what waits for it: a farewell would come behind that. */
  cut(code: Code): void {
    this.end(code);
    this.outbox.socket.terminate();
  }

  /** Resolves when `connect` was answered, or at once if it does not run. */
  async settled(): Promise<void> {
    await this.#connecting;
  }

  /** Resolves when no command is under way. */
  idle(): Promise<void> {
    return this.#underWay.none();
  }

  #release(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelDeadline?.();
    this.context.heartbeat.remove(this);
    for (const subscription of this.subscriptions) endSubscription(this, subscription);
    for (const consumer of this.consumers.values()) this.context.ending(consumer.letGo());
    this.context.rates.commands.forget(this.client);
    this.context.rates.publish.forget(this.client);
    this.context.rates.subscribe.forget(this.client);
    if (this.#identity === undefined) return;
    this.context.sessions.remove(this);
    const { code, message } = this.#ending ?? CLOSES.closed;
    this.observer.disconnected(code);
    void this.#tellHook(code, message);
  }

  async #tellHook(code: number, reason: string): Promise<void> {
    try {
      await this.context.hooks.onDisconnect?.(this, { code, reason });
    } catch (error) {
      this.observer.backboneFailed(undefined, "onDisconnect", error);
    }
  }

  // ── from the subscriptions ─────────────────────────────────────────────────

  hasRoomAgain(): void {
    for (const subscription of this.subscriptions) subscription.drained();
    for (const consumer of this.consumers.values()) consumer.drained();
  }

  pushGap(channel: string, gap: Gap): void {
    this.push({ channel, gap });
  }

  /** Ends a subscription that the client gave up. */
  drop(subscription: Subscription): void {
    endSubscription(this, subscription);
  }

  /** Ends a subscription from the server's side and tells the client. */
  unsubscribe(subscription: Subscription, { code, message }: Pick<Code, "code" | "message">): void {
    if (this.subscriptions.get(subscription.channel) !== subscription) return;
    endSubscription(this, subscription);
    this.push({ channel: subscription.channel, unsubscribe: { code, reason: message } });
  }

  insufficient(subscription: Subscription): void {
    this.unsubscribe(subscription, UNSUBSCRIBES.insufficientState);
  }

  exhausted(subscription: Subscription): void {
    this.unsubscribe(subscription, UNSUBSCRIBES.maxAttempts);
  }

  async deadLetter(subscription: Subscription, publication: SharedPublication, attempts: number): Promise<void> {
    await storeDeadLetter(this.context, subscription, publication, attempts);
  }
}

/** A close reason holds at most 123 bytes of UTF-8. */
function closeReason(message: string, detail: string | undefined): string {
  const whole = detail === undefined ? message : `${message}: ${detail}`.replace(`${message}: ${message}`, message);
  let reason = whole.slice(0, 123);
  while (Buffer.byteLength(reason) > 123) reason = reason.slice(0, -1);
  return reason;
}
