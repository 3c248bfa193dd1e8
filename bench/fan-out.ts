/**
 * One hot channel: every message goes to 1,000 subscribers. The figure is deliveries per second of processor time that the
 * server used. It is on a core of its own, publisher and subscribers on another; what arrives is counted.
 *
 * On a machine that does something else besides, writes hold more messages, and the figure is too good: look at `per write`.
 */
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { Program } from "../tests/program.ts";
import { CountingSocket } from "./counting-socket.ts";
import { DATA_BYTES, dataOf } from "./load-data.ts";
import { cpuSeconds, pin } from "./process-cost.ts";
import { crowd, floor, todoku, type Contender } from "./servers.ts";
import { median, printTable, short } from "./table.ts";

const SUBSCRIBERS = 1000;
/** Messages offered per second. */
const RATES = [50, 1000, 4000] as const;
const CHANNEL = "ticker:hot";
const REPEATS = 3;
const WARM_UP_MS = 500;
const MEASURED_MS = 1500;
/** Without any arrival for so long, the rest is lost. */
const SILENCE_MS = 1000;
/** Of one message on the wire. */
const MESSAGE_BYTES = JSON.stringify({ push: { channel: CHANNEL, pub: { data: dataOf(0) } } }).length;

interface Measured {
  readonly deliveriesPerSecond: number;
  readonly deliveriesPerCpuSecond: number;
  /** How many messages left in one write, on average: the fewer the writes, the less a delivery costs. */
  readonly messagesPerWrite: number;
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
      "per write",
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
    median(measured.map(({ messagesPerWrite }) => messagesPerWrite)).toFixed(1),
    percent(({ serverShare }) => serverShare),
    percent(({ generatorShare }) => generatorShare),
    percent(({ arrived }) => arrived),
  ];
}

/** The subscribers of one server, and what is published to them. */
class Load {
  readonly #server: Contender;
  readonly #subscribers: readonly CountingSocket[];
  #published = 0;

  private constructor(server: Contender, subscribers: readonly CountingSocket[]) {
    this.#server = server;
    this.#subscribers = subscribers;
  }

  static async start(server: Contender): Promise<Load> {
    const { port, connect } = server;
    return new Load(server, await crowd(SUBSCRIBERS, () => CountingSocket.subscribe(port, connect, CHANNEL)));
  }

  async measure(rate: number): Promise<Measured> {
    const { pid } = this.#server.program;
    const publisher = await this.#publishAt(rate);
    await after(WARM_UP_MS);
    const [begun, cpu, own] = [performance.now(), cpuSeconds(pid), process.cpuUsage()];
    const [received, frames] = [this.#received(), this.#frames()];
    await after(MEASURED_MS);
    const seconds = (performance.now() - begun) / 1000;
    const serverSeconds = cpuSeconds(pid) - cpu;
    const { user, system } = process.cpuUsage(own);
    const deliveries = this.#received() - received;
    await this.#stop(publisher);
    return {
      deliveriesPerSecond: deliveries / seconds,
      deliveriesPerCpuSecond: deliveries / serverSeconds,
      messagesPerWrite: deliveries / (this.#frames() - frames),
      serverShare: serverSeconds / seconds,
      generatorShare: (user + system) / 1e6 / seconds,
      arrived: this.#received() / (this.#published * this.#subscribers.length),
    };
  }

  end(): void {
    for (const subscriber of this.#subscribers) subscriber.end();
  }

  async #publishAt(rate: number): Promise<Program> {
    const { port, connect } = this.#server;
    const script = path.join(import.meta.dirname, "publisher.ts");
    const args = [String(port), JSON.stringify(connect), CHANNEL, String(rate), String(this.#published)];
    const publisher = new Program(script, args);
    await publisher.speaks();
    return publisher;
  }

  /** Stops publishing, and resolves when everything has arrived, or nothing more comes. */
  async #stop(publisher: Program): Promise<void> {
    const count = publisher.speaks();
    publisher.signal("SIGTERM");
    this.#published += Number((await count).replace("published ", ""));
    const all = this.#published * this.#subscribers.length;
    for (let last = -1; this.#received() < all && this.#received() !== last; await after(SILENCE_MS))
      last = this.#received();
  }

  #frames(): number {
    return this.#subscribers.reduce((sum, { frames }) => sum + frames, 0);
  }

  /** Messages that all subscribers together have received: of equal length, joined by newlines into frames. */
  #received(): number {
    const bytes = this.#subscribers.reduce((sum, subscriber) => sum + subscriber.bytes + subscriber.frames, 0);
    return bytes / (MESSAGE_BYTES + 1);
  }
}
