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
  type Push,
  type Reply,
} from "@todoku/protocol";
import type { Clock } from "../clock.ts";
import type { Caller } from "../hooks.ts";
import { runCommand } from "./commands.ts";
import type { GatewayContext } from "./context.ts";
import { asDeadLetter } from "./dead-letters.ts";
import type { GatewayObserver } from "./observer.ts";
import { Outbox } from "./outbox.ts";
import type { SharedPublication } from "./shared-publication.ts";
import type { Handshake, Socket, SocketEvents } from "./socket.ts";
import type { Subscription, SubscriptionHost } from "./subscription.ts";
import { endSubscription } from "./subscribe.ts";

const encoder = new TextEncoder();
const PING = encoder.encode("{}");
/** After a token's expiry the client has this long to refresh it. */
const EXPIRY_GRACE_MS = 25_000;
/** Most commands of one connection under way at once. */
const MOST_PENDING = 1000;

type RunnableCommand = Exclude<DecodedCommand, { readonly method: "pong" }>;

/** What a connection turned out to be once `connect` was accepted. */
export interface Identity {
  readonly user: string;
  readonly info?: Json;
  /** Seconds since 1970. */
  readonly expireAt?: number;
  /** The client understands the extension. */
  readonly extended: boolean;
}

export class Session implements SocketEvents, SubscriptionHost, Caller {
  /** The connection's id, a UUID. */
  readonly client: string;
  readonly address: string;
  readonly origin: string | undefined;
  readonly context: GatewayContext;
  readonly outbox: Outbox;
  readonly subscriptions: Map<string, Subscription> = new Map();
  readonly #onAuthenticated: () => void;
  readonly #busyChannels = new Map<string, Promise<void>>();
  #identity: Identity | undefined;
  #connecting: Promise<void> | undefined;
  readonly #reserved = new Set<string>();
  #pending = 0;
  #refusing = false;
  #whenIdle: (() => void)[] = [];
  #awaitingPong = false;
  #closed = false;
  #ending: Code | undefined;
  #leaveHeartbeat: (() => void) | undefined;
  #cancelDeadline: (() => void) | undefined;

  /** `onAuthenticated` is called once, when `connect` was accepted or the connection ended without. */
  constructor(context: GatewayContext, socket: Socket, { address, origin }: Handshake, onAuthenticated: () => void) {
    this.context = context;
    this.client = context.clock.uuid();
    this.address = address;
    this.origin = origin;
    this.#onAuthenticated = onAuthenticated;
    this.outbox = new Outbox(socket, context.flusher, context.limits.queue_bytes, () => this.#onRoom());
    this.#cancelDeadline = context.clock.after(context.limits.connect_timeout, () => this.end(CLOSES.stale));
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
    for (const command of commands) {
      if (this.#ending) return;
      this.#take(command);
    }
  }

  drained(): void {
    this.outbox.checkRoom();
  }

  closed(): void {
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

  #take(command: DecodedCommand): void {
    if (command.method === "pong") {
      this.#awaitingPong = false;
      return;
    }
    if (this.#identity === undefined && this.#connecting === undefined) {
      if (command.method !== "connect")
        return this.end(CLOSES.badRequest, `connect must come first, not ${command.method}`);
      this.#connecting = this.#run(command).finally(() => {
        this.#connecting = undefined;
      });
      return;
    }
    if (command.method === "connect") return this.end(CLOSES.badRequest, "connect may come once only");
    const before = this.#connecting ?? this.#busyChannels.get(channelOf(command));
    const run = before ? before.then(() => this.#run(command)) : this.#run(command);
    // What concerns a channel waits for a subscribe or unsubscribe of that channel that came before it.
    if (command.method === "subscribe" || command.method === "unsubscribe") {
      const channel = channelOf(command);
      this.#busyChannels.set(channel, run);
      void run.then(() => {
        if (this.#busyChannels.get(channel) === run) this.#busyChannels.delete(channel);
      });
    }
  }

  /** Runs one command and answers it. Never rejects. */
  async #run(command: RunnableCommand): Promise<void> {
    if (this.#ending) return;
    const { id, method } = command;
    if (this.#pending >= MOST_PENDING || !this.#withinRate(method)) {
      this.observer.command(method, ERRORS.tooManyRequests.code);
      this.#answerError(id, new TodokuError(ERRORS.tooManyRequests));
      return;
    }
    this.#pending++;
    try {
      if ("error" in command) throw command.error;
      await runCommand(this, command, (reply) => this.#answer(id, reply));
      this.observer.command(method, undefined);
    } catch (error) {
      this.#fail(command, error);
    } finally {
      this.#pending--;
      if (this.#pending === 0) for (const idle of this.#whenIdle.splice(0)) idle();
    }
  }

  #fail({ id, method }: RunnableCommand, error: unknown): void {
    const refusal =
      error instanceof TodokuError ? error : new TodokuError(ERRORS.internal, undefined, { cause: error });
    this.observer.command(method, refusal.code);
    if (refusal.code === ERRORS.internal.code)
      this.observer.backboneFailed(undefined, method, refusal.cause ?? refusal);
    const close = Object.values(CLOSES).find(({ code }) => code === refusal.code);
    if (close) this.end(close);
    else this.#answerError(id, refusal);
    // A connect that failed leaves nothing to wait for but another attempt on a new connection.
    if (method === "connect" && !close) this.#endAfterAnswer(refusal);
  }

  #endAfterAnswer({ retry }: TodokuError): void {
    this.outbox.flush();
    if (retry === "stop") this.end(CLOSES.doNotReconnect);
  }

  #withinRate(method: string): boolean {
    const { rates } = this.context;
    if (!rates.commands.take(this.client)) return false;
    if (this.user !== "" && !rates.user.take(this.user)) return false;
    if (method === "publish") return rates.publish.take(this.client);
    if (method === "subscribe") return rates.subscribe.take(this.client);
    return true;
  }

  #answer(id: number | undefined, reply: string | Reply): void {
    if (this.#closed || id === undefined) return;
    this.outbox.push(encoder.encode(typeof reply === "string" ? reply : encodeReply({ id, ...reply })));
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
    this.#leaveHeartbeat = this.context.heartbeat.add(this);
    this.context.sessions.add(this);
    this.observer.connected();
    this.#onAuthenticated();
    this.expireAt(identity.expireAt);
  }

  /** Moves the connection's end; seconds since 1970, undefined for none. Past it there is some time to refresh. */
  expireAt(seconds: number | undefined): void {
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
    if (this.subscriptions.has(channel) || this.#reserved.has(channel)) throw new TodokuError(ERRORS.alreadySubscribed);
    if (this.subscriptions.size + this.#reserved.size >= channels) {
      throw new TodokuError(ERRORS.limitExceeded, `a connection may have ${channels} subscriptions`);
    }
    this.#reserved.add(channel);
    return () => this.#reserved.delete(channel);
  }

  /** Answers no command from now on; those under way go on. */
  refuseCommands(): void {
    this.#refusing = true;
  }

  push(push: Push): void {
    this.pushText(encodePush(push));
  }

  /** A whole push frame as JSON text. */
  pushText(text: string): void {
    if (!this.#closed) this.outbox.push(encoder.encode(text));
  }

  /** Closes the connection; `detail` is appended to the code's reason. */
  end(code: Code, detail?: string): void {
    if (this.#ending) return;
    this.#ending = code;
    this.outbox.flush();
    this.outbox.socket.close(code.code, closeReason(code.message, detail));
    this.#release();
  }

  /** Resolves when no command is under way. */
  idle(): Promise<void> {
    return this.#pending === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  #release(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelDeadline?.();
    this.#leaveHeartbeat?.();
    for (const subscription of this.subscriptions.values()) endSubscription(this, subscription);
    this.context.rates.commands.forget(this.client);
    this.context.rates.publish.forget(this.client);
    this.context.rates.subscribe.forget(this.client);
    if (this.#identity === undefined) {
      this.#onAuthenticated();
      return;
    }
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

  #onRoom(): void {
    for (const subscription of this.subscriptions.values()) subscription.drained();
  }

  pushGap(channel: string, gap: Gap): void {
    this.push({ channel, gap });
  }

  pushSignal(channel: string, signal: string): void {
    // The signal is the JSON text of `{"join":{…}}` or `{"leave":{…}}`: spliced in, not parsed.
    this.outbox.push(encoder.encode(`{"push":{"channel":${JSON.stringify(channel)},${signal.slice(1)}}`));
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
    const { namespaces, publisher } = this.context;
    const { namespace, channel } = subscription.feed;
    const target = namespace.redelivery.deadLetters;
    const into = target === undefined ? undefined : namespaces.of(target);
    if (target === undefined || into === undefined) throw new Error(`no namespace for the dead letters of ${channel}`);
    await publisher.publish(into, target, publication.message.data, asDeadLetter(subscription, publication, attempts));
    this.observer.deadLettered(namespace);
  }
}

function channelOf(command: RunnableCommand): string {
  return "request" in command && "channel" in command.request ? command.request.channel : "";
}

/** A close reason holds at most 123 bytes of UTF-8. */
function closeReason(message: string, detail: string | undefined): string {
  let reason = detail === undefined ? message : `${message}: ${detail}`.replace(`${message}: ${message}`, message);
  while (encoder.encode(reason).length > 123) reason = reason.slice(0, -1);
  return reason;
}
