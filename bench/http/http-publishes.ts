/** Measures what publishing over HTTP costs a server: connections that ask again as soon as they are answered. */
import { setTimeout as after } from "node:timers/promises";
import { freePort } from "../../tests/server-process.ts";
import { RawClient } from "../../tests/raw-client.ts";
import { dataOf } from "../load-data.ts";
import { cpuSeconds } from "../process-cost.ts";
import type { Contender, Measured } from "../scenario.ts";
import { tokenOf } from "../servers/token.ts";
import { HttpClient, postOf } from "./http-client.ts";
import { API_KEY, NAMESPACE, type HttpServer } from "./http-server.ts";

export interface HttpPublishOptions {
  readonly connections: number;
  /** Publishes in one request; 1: no batch. */
  readonly batch: number;
  /** Of the server's processor time: others on the machine make it longer, and not less. */
  readonly warmUpSeconds: number;
  readonly measuredSeconds: number;
}

const CHANNEL = `${NAMESPACE}:0`;
/** Rounds of all connections that a subscriber receives, and checks, behind the measurement. */
const CHECKED_ROUNDS = 4;
const CHECK_MS = 10_000;
/** A server that has not spent its time until then is measured by what it has. */
const LONGEST_MS = 15_000;
const LOOK_MS = 50;
/** Requests that take turns: making one for each publish would cost more than answering it. */
const REQUESTS = 64;

export function nameOf({ name }: HttpServer, batch: number): string {
  return batch === 1 ? name : `${name}, batches of ${batch}`;
}

export function httpPublishesOf(server: HttpServer, options: HttpPublishOptions): Contender {
  return { ...server, name: nameOf(server, options.batch), measure: () => measure(server, options) };
}

async function measure(server: HttpServer, options: HttpPublishOptions): Promise<readonly Measured[]> {
  const { connections, batch, warmUpSeconds, measuredSeconds } = options;
  const port = await freePort();
  await using process_ = await server.start(port);
  const crowd = new Crowd(port, batch);
  await crowd.gather(connections);
  crowd.begin();
  await spent(process_.pid, warmUpSeconds);
  const window = { at: performance.now(), server: cpuSeconds(process_.pid), own: process.cpuUsage() };
  const before = crowd.answered;
  await spent(process_.pid, measuredSeconds);
  const seconds = (performance.now() - window.at) / 1000;
  const serverSeconds = cpuSeconds(process_.pid) - window.server;
  const own = process.cpuUsage(window.own);
  const publishes = (crowd.answered - before) * batch;
  await crowd.pause();
  const lost = server.deaf ? 0 : await crowd.missing(CHECKED_ROUNDS);
  crowd.end();
  return [
    {
      load: "",
      value: publishes / serverSeconds,
      details: { "publishes/s": publishes / seconds },
      serverShare: serverSeconds / seconds,
      generatorShare: (own.user + own.system) / 1e6 / seconds,
      faults: [...crowd.faults, ...(lost === 0 ? [] : [`${lost} lost, repeated or wrong`])],
    },
  ];
}

/** Resolves when a process has spent so much processor time. */
async function spent(pid: number, seconds: number): Promise<void> {
  const [enough, deadline] = [cpuSeconds(pid) + seconds, performance.now() + LONGEST_MS];
  while (cpuSeconds(pid) < enough && performance.now() < deadline) await after(LOOK_MS);
}

class Crowd {
  answered = 0;
  readonly faults = new Set<string>();
  readonly #port: number;
  readonly #batch: number;
  readonly #requests: readonly Buffer[];
  readonly #clients: HttpClient[] = [];
  #sent = 0;
  #under = 0;
  #goesOn = true;
  #idle = (): void => {};
  /** What a server answers is the same each time, and looked at once. */
  #right: Buffer | undefined;

  constructor(port: number, batch: number) {
    this.#port = port;
    this.#batch = batch;
    this.#requests = Array.from({ length: REQUESTS }, (_, i) => this.#request(i));
  }

  async gather(connections: number): Promise<void> {
    for (let i = 0; i < connections; i++) {
      const client = await HttpClient.connect(this.#port);
      client.onBody = (body) => this.#hear(client, body);
      client.onEnd = (why) => {
        this.faults.add(why);
        this.#settle();
      };
      this.#clients.push(client);
    }
  }

  begin(): void {
    this.#goesOn = true;
    for (const client of this.#clients) this.#ask(client);
  }

  /** Resolves when all are answered. */
  async pause(): Promise<void> {
    this.#goesOn = false;
    if (this.#under > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** Has every connection ask `rounds` times while somebody is subscribed. Resolves with how many did not come as they should. */
  async missing(rounds: number): Promise<number> {
    const subscriber = await RawClient.connect(this.#port, { token: await tokenOf() });
    const subscribed = subscriber.next();
    subscriber.send({ id: 2, subscribe: { channel: CHANNEL } });
    await subscribed;
    const expected = new Map<string, number>();
    const heard = { right: 0, wrong: 0 };
    subscriber.onText = (text) => {
      for (const line of text.toString().split("\n")) {
        const { push } = JSON.parse(line) as { push?: { pub?: { data?: unknown } } };
        if (!push?.pub) continue;
        const data = String(push.pub.data);
        const left = expected.get(data) ?? 0;
        if (left > 0) heard.right++;
        else heard.wrong++;
        expected.set(data, left - 1);
      }
    };
    const all = rounds * this.#clients.length * this.#batch;
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < this.#clients.length; i++) {
        for (const data of this.#dataOf((this.#sent + i) % REQUESTS)) {
          expected.set(data, (expected.get(data) ?? 0) + 1);
        }
      }
      for (const client of this.#clients) this.#ask(client);
      await this.pause();
    }
    const deadline = performance.now() + CHECK_MS;
    while (heard.right + heard.wrong < all && performance.now() < deadline) {
      await after(LOOK_MS);
    }
    subscriber.terminate();
    return all - heard.right + heard.wrong;
  }

  end(): void {
    for (const client of this.#clients) client.end();
  }

  #ask(client: HttpClient): void {
    const request = this.#requests[this.#sent++ % REQUESTS];
    if (!request) return;
    this.#under++;
    client.send(request);
  }

  #hear(client: HttpClient, body: Buffer): void {
    this.answered++;
    if (!this.#right?.equals(body)) this.#look(body);
    this.#settle();
    if (this.#goesOn) this.#ask(client);
  }

  #settle(): void {
    if (--this.#under === 0 && !this.#goesOn) this.#idle();
  }

  #look(body: Buffer): void {
    const text = body.toString();
    const answer = JSON.parse(text) as { result?: object; replies?: readonly { publish?: object }[] };
    const right =
      this.#batch === 1
        ? answer.result !== undefined
        : answer.replies?.length === this.#batch && answer.replies.every(({ publish }) => publish !== undefined);
    if (right) this.#right = Buffer.from(body);
    else this.faults.add(`answered ${text.slice(0, 100)}`);
  }

  #request(i: number): Buffer {
    const publishes = this.#dataOf(i).map((data) => ({ channel: CHANNEL, data }));
    const [first] = publishes;
    const [path, body] =
      this.#batch === 1
        ? ["/api/publish", first]
        : ["/api/batch", { commands: publishes.map((publish) => ({ publish })) }];
    return postOf(this.#port, path, API_KEY, JSON.stringify(body));
  }

  #dataOf(i: number): readonly string[] {
    return Array.from({ length: this.#batch }, (_, n) => dataOf(i * this.#batch + n));
  }
}
