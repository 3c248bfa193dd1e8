/**
 * A whole gateway for tests: real namespaces over a real backbone, a clock that is moved by hand, sockets in memory, and
 * clients that wait for what they are sent.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import {
  decodeReplies,
  encodeCommands,
  type Command,
  type ConnectRequest,
  type ConnectResult,
  type ErrorReply,
  type Method,
  type Publication,
  type Push,
  type Reply,
  type Requests,
  type Results,
  type SubscribeRequest,
  type SubscribeResult,
} from "@todoku/protocol";
import { jwtAuthenticator } from "./auth/jwt.ts";
import { signToken, type TokenRequest } from "./auth/token.ts";
import type { Backbone } from "./backbones/contract.ts";
import { MemoryBackbone } from "./backbones/memory.ts";
import { configSchema, type Config, type ConfigInput } from "./config.ts";
import { Gateway } from "./gateway/gateway.ts";
import { silentObserver, type GatewayObserver } from "./gateway/observer.ts";
import type { Payload, Socket, SocketEvents } from "./gateway/socket.ts";
import type { Hooks } from "./hooks.ts";
import { ManualClock, settle } from "./manual-clock.ts";
import type { Namespace, Namespaces } from "./namespaces/namespace.ts";
import { openNamespaces } from "./namespaces/open.ts";
import { Publisher, type Published, type PublishOptions } from "./namespaces/publisher.ts";

export const SECRET = "0123456789abcdef0123456789abcdef";

const open = { backbone: "default", subscribe: "any", publish: "any", history: "any", presence: "any" } as const;

/** `""` keeps a log, `live` keeps nothing; both are open to anyone. */
export const NAMESPACES: NonNullable<ConfigInput["namespaces"]> = {
  "": { ...open, retention: { messages: 1000 } },
  live: open,
};

export interface TestGatewayOptions {
  readonly client?: ConfigInput["client"];
  /** Beside, or in place of, those of `NAMESPACES`. Each has the backbone `default` unless it names another. */
  readonly namespaces?: ConfigInput["namespaces"];
  /** Clients need a token that `token` signs; else anyone may connect. */
  readonly jwt?: boolean;
  readonly hooks?: Hooks;
  readonly observer?: Partial<GatewayObserver>;
  readonly clock?: ManualClock;
  /** What namespaces call `default`; already open. Default: a new `memory`. */
  readonly backbone?: Backbone;
  /** It knows the other gateways on the backbone's bus. */
  readonly fleet?: boolean;
}

/** Starts a gateway; at the end of the test it is stopped, and must leave no timer. */
export async function openGateway(context: TestContext, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const gateway = await TestGateway.start(options);
  context.after(() => gateway.stop());
  return gateway;
}

export class TestGateway {
  readonly clock: ManualClock;
  readonly backbone: Backbone;
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;
  readonly gateway: Gateway;
  /** What was told to the observer's `backboneFailed`. */
  readonly failures: unknown[] = [];
  /** Subscriptions that are there now, by what the observer was told. */
  subscriptions = 0;
  #stopped = false;

  private constructor(
    config: Config,
    { hooks = {}, jwt = false, observer = {}, fleet = false }: TestGatewayOptions,
    clock: ManualClock,
    backbone: Backbone,
  ) {
    this.clock = clock;
    this.backbone = backbone;
    this.namespaces = openNamespaces(config, new Map([["default", backbone]]));
    const observing: GatewayObserver = {
      ...silentObserver,
      backboneFailed: (_namespace, _operation, error) => this.failures.push(error),
      subscribed: () => this.subscriptions++,
      unsubscribed: () => this.subscriptions--,
      ...observer,
    };
    this.publisher = new Publisher(clock, observing);
    this.gateway = new Gateway({
      limits: config.client,
      insecure: !jwt,
      version: "1.2.3",
      name: "test",
      clock,
      observer: observing,
      hooks,
      namespaces: this.namespaces,
      publisher: this.publisher,
      ...(fleet && backbone.bus && { fleetBus: backbone.bus }),
      ...(jwt && { authenticator: jwtAuthenticator({ hmac: SECRET }, clock) }),
    });
    this.gateway.start();
  }

  static async start(options: TestGatewayOptions = {}): Promise<TestGateway> {
    const clock = options.clock ?? new ManualClock();
    const backbone = options.backbone ?? new MemoryBackbone({}, clock);
    if (!options.backbone) await backbone.open();
    const namespaces = Object.entries({ ...NAMESPACES, ...options.namespaces }).map(([name, rules]) => [
      name,
      { backbone: "default", ...rules },
    ]);
    const config = configSchema.parse({
      client: {
        rate: { commands: "off", publish: "off", subscribe: "off", user: "off", connects: "off" },
        ...options.client,
      },
      auth: options.jwt === true ? { jwt: { hmac: SECRET } } : { insecure: true },
      backbones: { default: { type: "memory" } },
      namespaces: Object.fromEntries(namespaces),
    });
    const gateway = new TestGateway(config, options, clock, backbone);
    await gateway.gateway.join();
    return gateway;
  }

  /** A connection that has sent nothing yet. */
  client(address = "192.0.2.1"): TestClient {
    const socket = new TestSocket();
    return new TestClient(socket, this.gateway.accept(socket, { address, origin: "https://example.com" }));
  }

  /** A connection whose `connect` was accepted. It understands the extension unless told otherwise. */
  async connect(request: ConnectRequest & { readonly plain?: boolean } = {}): Promise<ConnectedClient> {
    const { plain = false, ...rest } = request;
    const client = this.client();
    const result = await client.ask("connect", { ...(!plain && { todoku: { version: 1 } }), ...rest });
    return Object.assign(client, { connected: result });
  }

  /** A connection of this user, by a token. */
  async connectAs(user: string, about: Partial<TokenRequest> = {}): Promise<ConnectedClient> {
    return this.connect({ token: await this.token({ user, ...about }) });
  }

  token(request: TokenRequest): Promise<string> {
    return signToken(SECRET, request, this.clock.now());
  }

  /** Publishes as the HTTP API does. */
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<Published> {
    return this.publisher.publish(this.namespace(channel), channel, JSON.stringify(data), options);
  }

  /** Publishes the numbers from `first` to `last`, each a message. */
  async publishNumbers(channel: string, first: number, last: number): Promise<void> {
    for (let number = first; number <= last; number++) await this.publish(channel, number);
  }

  namespace(channel: string): Namespace {
    const namespace = this.namespaces.of(channel);
    if (!namespace) throw new Error(`${channel} is in no namespace`);
    return namespace;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.gateway.stop();
    await settle();
    assert.equal(this.clock.waiting, 0, "a stopped gateway left timers");
    assert.equal(this.gateway.connections, 0, "a stopped gateway left connections");
    assert.equal(this.subscriptions, 0, "a stopped gateway left subscriptions");
  }
}

export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** A socket in memory. While it is held, the client reads nothing and what is sent waits in it. */
export class TestSocket implements Socket {
  bufferedBytes = 0;
  /** The most that ever waited. */
  mostBuffered = 0;
  frames = 0;
  /** The client never answers the closing handshake. */
  halfOpen = false;
  closing: Closing | undefined;
  onFrame: (text: string) => void = () => {};
  onClosed: () => void = () => {};
  onDrained: () => void = () => {};
  #held: Uint8Array[] | undefined;
  #over = false;

  send({ bytes: frame }: Payload): void {
    if (this.closing || this.#over) return;
    this.frames++;
    if (!this.#held) return this.onFrame(new TextDecoder().decode(frame));
    this.#held.push(frame);
    this.bufferedBytes += frame.length;
    this.mostBuffered = Math.max(this.mostBuffered, this.bufferedBytes);
  }

  close(code: number, reason: string): void {
    if (this.closing || this.#over) return;
    this.closing = { code, reason };
    if (!this.halfOpen) setImmediate(() => this.terminate());
  }

  terminate(): void {
    if (this.#over) return;
    this.#over = true;
    this.onClosed();
  }

  /** The client stops reading. */
  hold(): void {
    this.#held ??= [];
  }

  /** The client reads what waits, and goes on reading (or, with `again`, stops once more). */
  release(again = false): void {
    const held = this.#held ?? [];
    this.#held = again ? [] : undefined;
    this.bufferedBytes = 0;
    for (const frame of held) this.onFrame(new TextDecoder().decode(frame));
    this.onDrained();
  }
}

type PushKind = Exclude<keyof Push, "channel">;

export type ConnectedClient = TestClient & { readonly connected: ConnectResult };

export class TestClient {
  readonly socket: TestSocket;
  /** Resolves when the connection is over: with the server's closing, or undefined when it was cut. */
  readonly closed: Promise<Closing | undefined>;
  /** Everything that came and was not asked for yet, in order. */
  readonly inbox: Reply[] = [];
  /** Frames as they came. */
  readonly texts: string[] = [];
  answersPings = true;
  pings = 0;
  readonly #events: SocketEvents;
  readonly #waiting = new Set<() => void>();
  #id = 0;

  constructor(socket: TestSocket, events: SocketEvents) {
    this.socket = socket;
    this.#events = events;
    socket.onFrame = (text) => this.#receive(text);
    socket.onDrained = () => events.drained();
    this.closed = new Promise((resolve) => {
      socket.onClosed = () => {
        events.closed();
        resolve(socket.closing);
      };
    });
  }

  /** Sends commands in one frame, as they are. */
  send(...commands: readonly Command[]): void {
    this.sendText(encodeCommands(commands));
  }

  sendText(text: string): void {
    if (!this.socket.closing) this.#events.message(text);
  }

  /** The connection is lost. */
  cut(): void {
    this.socket.terminate();
  }

  /** An id that no command has used yet. */
  get newId(): number {
    return ++this.#id;
  }

  /** Sends one command and waits for its result. An error fails the test. */
  async ask<M extends Method>(method: M, request: Requests[M]): Promise<Results[M]> {
    const reply = await this.call(method, request);
    assert.equal(reply.error, undefined, `${method} was answered ${JSON.stringify(reply.error)}`);
    const result = (reply as { [N in Method]?: Results[N] })[method];
    assert.ok(result, `no result in ${JSON.stringify(reply)}`);
    return result;
  }

  /** Sends one command and waits for the error that it is answered with. */
  async refused<M extends Method>(method: M, request: Requests[M]): Promise<ErrorReply> {
    const { error, ...reply } = await this.call(method, request);
    assert.ok(error, `${method} was answered ${JSON.stringify(reply)}`);
    return error;
  }

  call<M extends Method>(method: M, request: Requests[M]): Promise<Reply> {
    const id = this.newId;
    this.send({ id, [method]: request });
    return this.reply(id);
  }

  subscribe(channel: string, request: Omit<SubscribeRequest, "channel"> = {}): Promise<SubscribeResult> {
    return this.ask("subscribe", { channel, ...request });
  }

  reply(id: number): Promise<Reply> {
    return this.take((reply) => reply.id === id);
  }

  /** The next push of this kind. */
  async next<K extends PushKind>(kind: K, channel?: string): Promise<NonNullable<Push[K]>> {
    const { push } = await this.take(
      (reply) => reply.push?.[kind] !== undefined && (channel === undefined || reply.push.channel === channel),
    );
    return push?.[kind] as NonNullable<Push[K]>;
  }

  /** The next `count` publications. */
  async publications(count: number, channel?: string): Promise<Publication[]> {
    const found: Publication[] = [];
    while (found.length < count) found.push(await this.next("pub", channel));
    return found;
  }

  /** The data of the next `count` publications. */
  async data(count: number, channel?: string): Promise<unknown[]> {
    return (await this.publications(count, channel)).map(({ data }) => data);
  }

  /** What came and was not asked for, once everything has settled. */
  async rest(): Promise<readonly Reply[]> {
    await settle();
    return this.inbox.splice(0);
  }

  /** Waits for the first frame that fits, and takes it out. */
  async take(fits: (reply: Reply) => boolean): Promise<Reply> {
    for (;;) {
      const at = this.inbox.findIndex(fits);
      const [found] = at === -1 ? [] : this.inbox.splice(at, 1);
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #receive(text: string): void {
    this.texts.push(text);
    for (const reply of decodeReplies(text)) {
      if (Object.keys(reply).length > 0) this.inbox.push(reply);
      else {
        this.pings++;
        if (this.answersPings) this.#events.message("{}");
      }
    }
    for (const look of this.#waiting) look();
    this.#waiting.clear();
  }
}

/** The numbers from `first` to `last`. */
export function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
