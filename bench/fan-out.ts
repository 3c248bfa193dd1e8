/**
 * One hot channel: every message goes to 1,000 subscribers. The figure is deliveries per second of processor time that the
 * server used. It is on a core of its own, this load generator on another; what arrives is counted and must be all.
 */
import { setTimeout as after } from "node:timers/promises";
import { RawClient } from "../tests/raw-client.ts";
import { CountingSocket } from "./counting-socket.ts";
import { cpuSeconds, pin } from "./process-cost.ts";
import { crowd, floor, todoku, type Contender } from "./servers.ts";
import { median, printTable, short } from "./table.ts";

const SUBSCRIBERS = 1000;
/** Messages offered per second. */
const RATES = [50, 1000, 4000] as const;
const DATA_BYTES = 128;
const CHANNEL = "ticker:hot";
const REPEATS = 3;
const WARM_UP_MS = 500;
const MEASURED_MS = 1500;
const TICK_MS = 5;
/** Publishes that are not answered yet: a server that cannot keep up is offered no more. */
const MOST_UNDER_WAY = 500;
/** Without any arrival for so long, the rest is lost. */
const SILENCE_MS = 1000;

interface Measured {
  readonly deliveriesPerSecond: number;
  readonly deliveriesPerCpuSecond: number;
  /** Of its core. */
  readonly serverShare: number;
  readonly generatorShare: number;
  /** Of what was published. */
  readonly arrived: number;
}

export async function fanOut(): Promise<void> {
  const pinned = pin(process.pid, 1);
  const results = new Map<string, Map<number, Measured[]>>();
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const start of [floor, todoku]) {
      await using contender = await start();
      if (pinned) pin(contender.program.pid, 0);
      const load = await Load.start(contender);
      for (const rate of RATES) {
        const measured = await load.measure(rate);
        const ofContender = results.get(contender.name) ?? new Map<number, Measured[]>();
        results.set(contender.name, ofContender);
        ofContender.set(rate, [...(ofContender.get(rate) ?? []), measured]);
      }
      load.end();
    }
  }
  console.log(`${SUBSCRIBERS} subscribers of one channel, ${DATA_BYTES} bytes, at-most-once, no acknowledgement`);
  console.log(
    `${REPEATS} repeats, medians; ${pinned ? "each process on a core of its own" : "processes not pinned"}\n`,
  );
  printTable(
    [
      "server",
      "offered/s",
      "deliveries/s",
      "per CPU-second",
      "spread",
      "of the floor",
      "server",
      "generator",
      "arrived",
    ],
    RATES.flatMap((rate) => [...results].map(([name, rates]) => row(name, rate, rates.get(rate) ?? [], results))),
  );
}

function row(
  name: string,
  rate: number,
  measured: readonly Measured[],
  results: ReadonlyMap<string, ReadonlyMap<number, readonly Measured[]>>,
): string[] {
  const perCpu = measured.map(({ deliveriesPerCpuSecond }) => deliveriesPerCpuSecond);
  const [ofFloor = []] = [...results.values()].map((rates) => rates.get(rate) ?? []);
  const floorPerCpu = median(ofFloor.map(({ deliveriesPerCpuSecond }) => deliveriesPerCpuSecond));
  const percent = (of: (one: Measured) => number): string => `${(100 * median(measured.map(of))).toFixed(0)} %`;
  return [
    name,
    String(rate),
    short(median(measured.map(({ deliveriesPerSecond }) => deliveriesPerSecond))),
    short(median(perCpu)),
    `${short(Math.min(...perCpu))}–${short(Math.max(...perCpu))}`,
    (median(perCpu) / floorPerCpu).toFixed(2),
    percent(({ serverShare }) => serverShare),
    percent(({ generatorShare }) => generatorShare),
    percent(({ arrived }) => arrived),
  ];
}

/** A publisher and its subscribers. */
class Load {
  readonly #pid: number;
  readonly #publisher: RawClient;
  readonly #subscribers: readonly CountingSocket[];
  /** Bytes of one message on the wire; all have as many. */
  readonly #messageBytes: number;
  #published = 0;
  #answered = 0;

  private constructor(pid: number, publisher: RawClient, subscribers: readonly CountingSocket[], messageBytes: number) {
    this.#pid = pid;
    this.#publisher = publisher;
    this.#subscribers = subscribers;
    this.#messageBytes = messageBytes;
    publisher.onText = (payload) => {
      if (payload.includes('"error"')) throw new Error(`a publish was refused: ${payload.toString().slice(0, 200)}`);
      this.#answered += payload.toString().split("\n").length;
    };
  }

  static async start({ port, connect, program }: Contender): Promise<Load> {
    const subscribers = await crowd(SUBSCRIBERS, () => CountingSocket.subscribe(port, connect, CHANNEL));
    const publisher = await RawClient.connect(port, connect);
    const push = { push: { channel: CHANNEL, pub: { data: dataOf(0) } } };
    return new Load(program.pid, publisher, subscribers, JSON.stringify(push).length);
  }

  async measure(rate: number): Promise<Measured> {
    const stop = this.#publishAt(rate);
    await after(WARM_UP_MS);
    const [begun, cpu, own, received] = [
      performance.now(),
      cpuSeconds(this.#pid),
      process.cpuUsage(),
      this.#received(),
    ];
    await after(MEASURED_MS);
    const seconds = (performance.now() - begun) / 1000;
    const serverSeconds = cpuSeconds(this.#pid) - cpu;
    const { user, system } = process.cpuUsage(own);
    const deliveries = this.#received() - received;
    stop();
    await this.#settled();
    return {
      deliveriesPerSecond: deliveries / seconds,
      deliveriesPerCpuSecond: deliveries / serverSeconds,
      serverShare: serverSeconds / seconds,
      generatorShare: (user + system) / 1e6 / seconds,
      arrived: this.#received() / (this.#published * this.#subscribers.length),
    };
  }

  end(): void {
    this.#publisher.terminate();
    for (const subscriber of this.#subscribers) subscriber.end();
  }

  /** Publishes evenly; what a late tick has missed is made up for by the next one. */
  #publishAt(rate: number): () => void {
    const begun = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const late = Math.floor(((performance.now() - begun) * rate) / 1000) - sent;
      const count = Math.min(late, MOST_UNDER_WAY - (this.#published - this.#answered));
      if (count <= 0) return;
      const commands = Array.from({ length: count }, (_, i) => ({
        id: this.#published + i + 2,
        publish: { channel: CHANNEL, data: dataOf(this.#published + i) },
      }));
      this.#published += count;
      sent += count;
      this.#publisher.send(...commands);
    }, TICK_MS);
    return () => clearInterval(timer);
  }

  /** Messages that all subscribers together have received: of equal length, joined by newlines into frames. */
  #received(): number {
    const bytes = this.#subscribers.reduce((sum, subscriber) => sum + subscriber.bytes + subscriber.frames, 0);
    return bytes / (this.#messageBytes + 1);
  }

  /** Resolves when everything has arrived, or nothing more comes. */
  async #settled(): Promise<void> {
    const all = (): number => this.#published * this.#subscribers.length;
    for (let last = -1; this.#received() < all() && this.#received() !== last; await after(SILENCE_MS))
      last = this.#received();
  }
}

/** Text of always the same length. */
function dataOf(n: number): string {
  return String(n).padStart(DATA_BYTES - 2, "0");
}
