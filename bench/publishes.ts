/** Measures what publishing costs a server: clients that publish to themselves, as fast as they are answered. */
import { setTimeout as after } from "node:timers/promises";
import { RawClient } from "../tests/raw-client.ts";
import { DATA_BYTES } from "./deliveries.ts";
import type { Contender, Measured } from "./scenario.ts";
import { running, type Server } from "./servers/server.ts";

export interface PublishOptions {
  readonly connections: number;
  /** The request with which a client connects. */
  connect(): Promise<object>;
  /** Publishes of one connection that are not answered yet. */
  readonly underWay: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
}

const DATA = "x".repeat(DATA_BYTES - 2);
const SUBSCRIBE = 2;

export function publishesOf(server: Server, options: PublishOptions): Contender {
  return { ...server, measure: () => measure(server, options) };
}

async function measure(server: Server, options: PublishOptions): Promise<readonly Measured[]> {
  const { connections, underWay, warmUpMs, measuredMs } = options;
  await using started = await running(server);
  const connect = await options.connect();
  const publishers = await Promise.all(
    Array.from({ length: connections }, (_, i) => Publisher.connect(started.port, connect, `c:p${i}`)),
  );
  const sum = (of: (one: Publisher) => number): number => publishers.reduce((sum, one) => sum + of(one), 0);
  for (const publisher of publishers) publisher.begin(underWay);
  await after(warmUpMs);
  const window = { at: performance.now(), server: started.cpuSeconds(), own: process.cpuUsage() };
  const answered = sum((one) => one.answered);
  await after(measuredMs);
  const seconds = (performance.now() - window.at) / 1000;
  const serverSeconds = started.cpuSeconds() - window.server;
  const own = process.cpuUsage(window.own);
  const publishes = sum((one) => one.answered) - answered;
  await Promise.all(publishers.map((one) => one.finish()));
  const missing = sum((one) => one.answered - one.received);
  const refused = sum((one) => one.refused);
  return [
    {
      load: "",
      value: publishes / serverSeconds,
      details: { "publishes/s": publishes / seconds },
      serverShare: serverSeconds / seconds,
      generatorShare: (own.user + own.system) / 1e6 / seconds,
      faults: [
        ...(missing === 0 ? [] : [`${missing} lost or repeated`]),
        ...(refused === 0 ? [] : [`${refused} refused`]),
      ],
    },
  ];
}

export interface PublisherOptions {
  /** It is subscribed to the channel that it publishes to; default true. */
  readonly listens?: boolean;
  /** Of its n-th publish, from 0 on; default: the same each time. */
  readonly dataOf?: (n: number) => string;
}

/** A client that publishes to a channel of its own. */
export class Publisher {
  answered = 0;
  received = 0;
  refused = 0;
  readonly #client: RawClient;
  readonly channel: string;
  readonly #dataOf: (n: number) => string;
  #sent = 0;
  /** It stops when it has sent so many. */
  #most = Infinity;
  #waiting = 0;
  #ending = false;
  #done = (): void => {};

  private constructor(client: RawClient, channel: string, dataOf: (n: number) => string) {
    this.#client = client;
    this.channel = channel;
    this.#dataOf = dataOf;
  }

  static async connect(
    port: number,
    connect: object,
    channel: string,
    { listens = true, dataOf = () => DATA }: PublisherOptions = {},
  ): Promise<Publisher> {
    const client = await RawClient.connect(port, connect);
    if (listens) {
      const subscribed = client.next();
      client.send({ id: SUBSCRIBE, subscribe: { channel } });
      await subscribed;
    }
    return new Publisher(client, channel, dataOf);
  }

  begin(underWay: number): void {
    this.#client.onText = (text) => this.#hear(text);
    this.#publish(underWay);
  }

  /** Publishes `count` more; resolves when all are answered. */
  async publishAll(count: number, underWay: number): Promise<void> {
    this.#most = this.#sent + count;
    const answered = new Promise<void>((resolve) => (this.#done = resolve));
    this.begin(underWay);
    await answered;
  }

  /** Publishes no more; resolves when all answers are there. */
  async finish(): Promise<void> {
    this.#ending = true;
    if (this.#waiting > 0) await new Promise<void>((resolve) => (this.#done = resolve));
    this.#client.terminate();
  }

  #publish(most: number): void {
    const count = Math.min(most, this.#most - this.#sent);
    if (count === 0) return;
    this.#waiting += count;
    const commands = Array.from({ length: count }, () => {
      const n = this.#sent++;
      return { id: SUBSCRIBE + 1 + n, publish: { channel: this.channel, data: this.#dataOf(n) } };
    });
    this.#client.send(...commands);
  }

  #hear(text: Buffer): void {
    let answers = 0;
    for (const line of text.toString("latin1").split("\n")) {
      if (line.startsWith('{"push"')) this.received++;
      else if (line.includes('"error"')) this.refused++;
      else if (line.startsWith('{"id"')) answers++;
    }
    this.answered += answers;
    this.#waiting -= answers;
    if (!this.#ending && answers > 0) this.#publish(answers);
    if (this.#waiting === 0) this.#done();
  }
}
