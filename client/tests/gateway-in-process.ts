/**
 * A whole gateway in this process, with a backbone in memory, under a clock that is moved by hand, and clients of it: what takes
 * minutes takes none, and happens in the same order each time.
 */
import assert from "node:assert/strict";
import { CLOSES, ERRORS, TodokuError, type Code } from "@todoku/protocol";
import type { Authenticator } from "../../server/src/auth/authenticator.ts";
import type { Clock } from "../../server/src/clock.ts";
import type { ConfigInput } from "../../server/src/config.ts";
import { parseConfig } from "../../server/src/config-file.ts";
import { Gateway } from "../../server/src/gateway/gateway.ts";
import { silentObserver } from "../../server/src/gateway/observer.ts";
import type { Hooks } from "../../server/src/hooks.ts";
import { ManualClock, settle } from "../../server/src/manual-clock.ts";
import { Platform } from "../../server/src/platform.ts";
import { Todoku, type TodokuOptions } from "../src/index.ts";
import { MemoryNetwork } from "./memory-network.ts";

const open = { subscribe: "any", publish: "any", history: "any", presence: "any", join_leave: true } as const;

/** `chat` keeps a log, cursors and keys; `ticker` keeps nothing; `short` keeps five messages; `closed` is for tokens only; `jobs` is a queue. */
const NAMESPACES: ConfigInput["namespaces"] = {
  chat: { ...open, backbone: "memory", retention: { messages: 10_000 }, dedupe: "10m" },
  ticker: { ...open, backbone: "memory" },
  short: { ...open, backbone: "memory", retention: { messages: 5 } },
  closed: { ...open, backbone: "memory", retention: { messages: 100 }, subscribe: "token", publish: "none" },
  dead: { ...open, backbone: "memory", retention: { messages: 100 } },
  jobs: { publish: "any", consume: "any", backbone: "memory", queue: { max_attempts: 3 } },
  orders: { ...open, backbone: "memory", retention: { messages: 100 }, redelivery: { dead_letters: "dead:orders" } },
};

const STEP_MS = 20;
/** Longer than anything in the tests takes, in virtual time. */
const LONGEST_MS = 600_000;

export interface GatewayOptions {
  readonly hooks?: Hooks;
  /** Nobody may come without a token. */
  readonly tokensOnly?: boolean;
  readonly client?: ConfigInput["client"];
}

export class GatewayInProcess implements AsyncDisposable {
  readonly clock: ManualClock;
  readonly gateway: Gateway;
  readonly network: MemoryNetwork;
  readonly #platform: Platform;
  readonly #clients: Todoku[] = [];

  private constructor(clock: ManualClock, platform: Platform, gateway: Gateway) {
    this.clock = clock;
    this.gateway = gateway;
    this.#platform = platform;
    this.network = new MemoryNetwork((line) => {
      const decoder = new TextDecoder();
      return gateway.accept(
        {
          send: ({ bytes }) => line.send(decoder.decode(bytes)),
          bufferedBytes: 0,
          close: (code, reason) => line.close(code, reason),
          terminate: () => line.cut(),
        },
        { address: "127.0.0.1" },
      );
    });
  }

  static async open({ hooks = {}, tokensOnly = false, client }: GatewayOptions = {}): Promise<GatewayInProcess> {
    const clock = new ManualClock();
    const config = parseConfig({
      auth: { insecure: !tokensOnly, jwt: { hmac: "not used: tokens are plain here" } },
      backbones: { memory: { type: "memory" } },
      namespaces: NAMESPACES,
      client: { rate: { user: "off" }, ...client },
    });
    const platform = await Platform.open(config, clock, silentObserver);
    const gateway = new Gateway({
      limits: config.client,
      insecure: !tokensOnly,
      version: "0.0.0",
      name: "test",
      clock,
      observer: silentObserver,
      hooks,
      namespaces: platform.namespaces,
      publisher: platform.publisher,
      authenticator: plainTokens(clock),
    });
    gateway.start();
    return new GatewayInProcess(clock, platform, gateway);
  }

  /** A client of this gateway. */
  client(options: TodokuOptions = {}): Todoku {
    const client = new Todoku("ws://gateway", { WebSocket: this.network.WebSocket, clock: this.clock, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Publishes from the server's side. */
  async publish(channel: string, ...data: unknown[]): Promise<void> {
    const { namespaces, publisher } = this.#platform;
    const namespace = namespaces.of(channel);
    assert.ok(namespace, channel);
    for (const one of data) await publisher.publish(namespace, channel, JSON.stringify(one));
  }

  /** A token that lives so many seconds; with a channel one for that. */
  token(user: string, ttl?: number, channel?: string): string {
    const expireAt = ttl === undefined ? undefined : this.clock.now() / 1000 + ttl;
    return JSON.stringify({ user, expireAt, channel });
  }

  /** Lets time pass until something is so. */
  async until(isSo: () => boolean, what: string = String(isSo)): Promise<void> {
    const end = this.clock.now() + LONGEST_MS;
    await settle();
    while (!isSo()) {
      if (this.clock.now() >= end) throw new Error(`never: ${what}`);
      await this.clock.advance(STEP_MS);
    }
  }

  /** Lets time pass until a promise is settled, and gives what it resolves with. */
  async passing<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => {
      settled = true;
    };
    promise.then(done, done);
    await this.until(() => settled, "the promise settles");
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.passing(Promise.all(this.#clients.map((client) => client.close())));
    await this.gateway.stop();
    await this.#platform.close();
  }
}

interface PlainToken {
  readonly user: string;
  readonly expireAt?: number;
  readonly channel?: string;
}

/**
 * Tokens that anybody can make. The real ones are verified in other threads, which a clock that is moved by hand does not wait
 * for.
 */
function plainTokens(clock: Clock): Authenticator {
  const read = (text: string, flawed: Code): PlainToken => {
    if (!text.startsWith("{")) throw new TodokuError(flawed);
    const token = JSON.parse(text) as PlainToken;
    if (token.expireAt !== undefined && token.expireAt * 1000 <= clock.now())
      throw new TodokuError(ERRORS.tokenExpired);
    return token;
  };
  return {
    connection: async (text) => ({ ...read(text, CLOSES.invalidToken), subs: new Map() }),
    subscription: async (text) => ({ channel: "", ...read(text, ERRORS.permissionDenied) }),
  };
}
