/** Publishes over HTTP as backends do, a request each, at a steady pace and with so little work that the server is what is measured. */
import { setTimeout as after } from "node:timers/promises";
import { HttpClient, postOf } from "./http/http-client.ts";

const CONNECTIONS = 32;
/** Publishes are made in so many small steps a second. */
const STEPS = 20;
/** An answer that takes longer will not come. */
const PATIENCE_MS = 30_000;

/** What a stretch of publishing came to. */
export interface Published {
  readonly count: number;
  readonly seconds: number;
  /** Of what was due, 1 where the pace was kept. */
  readonly keptUp: number;
}

export interface Pace {
  readonly perSecond: number;
  readonly seconds: number;
  /** The n-th is published there. */
  channelOf(n: number): string;
  /** A field of the request more. */
  keyOf?(n: number): string;
  readonly data: string;
}

export class HttpPublisher implements Disposable {
  readonly #port: number;
  readonly #clients: readonly HttpClient[];
  readonly #idle: HttpClient[];
  #whenIdle: (() => void) | undefined;
  #next = 0;
  #failure: Error | undefined;

  private constructor(port: number, clients: readonly HttpClient[]) {
    this.#port = port;
    this.#clients = clients;
    this.#idle = [...clients];
    for (const client of clients) {
      client.onBody = (body) => {
        if (body.includes('"error"')) this.#failure ??= new Error(`a publish was refused: ${body.toString()}`);
        this.#idle.push(client);
        this.#whenIdle?.();
      };
      client.onEnd = (why) => {
        this.#failure ??= new Error(`a connection to publish over ended: ${why}`);
        this.#whenIdle?.();
      };
    }
  }

  static async connect(port: number): Promise<HttpPublisher> {
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => HttpClient.connect(port)));
    return new HttpPublisher(port, clients);
  }

  /** Resolves when all are answered. @throws Error when one is refused, or not answered in time. */
  async publish({ perSecond, seconds, channelOf, keyOf, data }: Pace): Promise<Published> {
    const begun = performance.now();
    const due = perSecond * seconds;
    for (let sent = 0, step = 1; sent < due; step++) {
      for (const until = Math.min(due, Math.round((step * perSecond) / STEPS)); sent < until; sent++) {
        const n = this.#next++;
        const key = keyOf && { idempotency_key: keyOf(n) };
        const client = await this.#client();
        client.send(postOf(this.#port, "/api/publish", "", JSON.stringify({ channel: channelOf(n), data, ...key })));
      }
      await after(Math.max(0, begun + (step * 1000) / STEPS - performance.now()));
    }
    while (this.#idle.length < CONNECTIONS) await this.#somethingHeard();
    const took = (performance.now() - begun) / 1000;
    return { count: due, seconds: took, keptUp: Math.min(1, seconds / took) };
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.end();
  }

  async #client(): Promise<HttpClient> {
    for (;;) {
      // In turn: the server closes a connection on which nothing is asked for some seconds.
      const client = this.#idle.shift();
      if (client) return client;
      await this.#somethingHeard();
    }
  }

  async #somethingHeard(): Promise<void> {
    if (this.#failure) throw this.#failure;
    const heard = Promise.withResolvers<void>();
    this.#whenIdle = heard.resolve;
    const timer = setTimeout(() => {
      this.#failure ??= new Error(
        `${CONNECTIONS - this.#idle.length} publishes were not answered in ${PATIENCE_MS} ms`,
      );
      heard.resolve();
    }, PATIENCE_MS);
    await heard.promise;
    clearTimeout(timer);
    if (this.#failure) throw this.#failure;
  }
}
