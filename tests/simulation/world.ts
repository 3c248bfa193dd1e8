/** A whole installation in one process: clients, network, gateways and log, all moved by one seed. */
import { Book, type Draft } from "./book.ts";
import { CALM, type Weather } from "./broker-link.ts";
import { Broker } from "./broker.ts";
import { Device } from "./device.ts";
import { Dice } from "./dice.ts";
import { Findings, type Finding } from "./findings.ts";
import { GatewayProcess, type Surroundings } from "./gateway-process.ts";
import { Journal } from "./journal.ts";
import { LossyWatch } from "./lossy-witness.ts";
import { Network } from "./network.ts";
import { byClient, byGateway, Publishing } from "./publishing.ts";
import {
  DEAD_LETTERS,
  keepsLog,
  maxAttemptsOf,
  scenarioOf,
  type DevicePlan,
  type Scenario,
  type SubscriberPlan,
} from "./scenario.ts";
import type { Sabotage } from "./sabotage.ts";
import type { Subscriber, Watcher } from "./subscriber.ts";
import { Troubles } from "./troubles.ts";
import { ProcessClock, VirtualTime } from "./virtual-time.ts";
import { newTrail, Witness, type Trail } from "./witness.ts";

export interface WorldOptions {
  readonly seed: number;
  /** For the data folder of an embedded log: an empty folder. */
  readonly folder: string;
  /** Takes the journal, line by line. */
  readonly write?: (line: string) => void;
  /** What is broken on purpose. */
  readonly sabotage?: Sabotage;
  /** Changes the scenario of the seed. */
  readonly adapt?: (scenario: Scenario) => Scenario;
}

export interface Outcome {
  readonly findings: readonly Finding[];
  readonly counts: Counts;
}

/** That there was something to be broken. */
export interface Counts {
  /** Everything that happened in virtual time. */
  readonly happened: number;
  /** Publishes that were answered. */
  readonly answered: number;
  /** Messages that were handled. */
  readonly handled: number;
  /** Gaps that were told. */
  readonly gaps: number;
}

/** Dead connections are found within 35 s, and after the longest pause everyone has dialled again. */
const HEALED_MS = 70_000;
/** When a user notices that a subscription was taken over. */
const NOTICED_MS = 2000;
/** What is published in calm weather has come by then. */
const DELIVERED_MS = 8000;
const CLOSED_MS = 3000;
/** Closing handshakes that nobody answers take 30 s. */
const ENDED_MS = 45_000;

/** Runs one seed from beginning to end. */
export async function simulate(options: WorldOptions): Promise<Outcome> {
  return new World(options).run();
}

export class World {
  readonly scenario: Scenario;
  readonly around: Surroundings;
  readonly book: Book;
  readonly devices: Device[] = [];
  gateways: GatewayProcess[] = [];
  readonly #weather: Weather;
  readonly #sabotage: Sabotage | undefined;
  readonly #trails = new Map<string, Trail>();
  readonly #publishers: Publishing[] = [];
  #started = 0;

  constructor({ seed, folder, write, sabotage, adapt = (scenario) => scenario }: WorldOptions) {
    const time = new VirtualTime();
    const dice = new Dice(seed);
    const journal = new Journal(time, write);
    this.scenario = adapt(scenarioOf(seed, dice.split()));
    const { latencyMs, slowLines, unanswered, weather, log } = this.scenario;
    const broker = new Broker({ time, dice: dice.split(), journal, ...(log === "embedded" && { folder }) });
    this.around = {
      time,
      dice,
      journal,
      broker,
      network: new Network(time, dice.split(), journal, { latencyMs, slowLines, unanswered }),
      findings: new Findings(({ rule, detail }) => journal.note(() => `AGAINST ${rule}: ${detail}`)),
    };
    this.book = new Book(broker.ledger, this.around.findings);
    this.#weather = { ...weather };
    this.#sabotage = sabotage;
    journal.note(() => describe(this.scenario));
  }

  async run(): Promise<Outcome> {
    const { time, findings, broker } = this.around;
    const { troubleMs } = this.scenario;
    await broker.open();
    for (let i = 0; i < this.scenario.gateways; i++) this.startGateway();
    this.#populate();
    const troubles = new Troubles(this);
    await time.run(troubleMs);
    troubles.end();
    this.#heal();
    await time.run(HEALED_MS);
    const last = this.#publishLast();
    await time.run(DELIVERED_MS);
    this.#judge(await last);
    await this.#end();
    return { findings: findings.all, counts: this.#counts() };
  }

  startGateway(): void {
    const { config, announces } = this.scenario;
    const name = `gateway${++this.#started}`;
    const settings = { config, weather: this.#weather, announces, ...(this.#sabotage && { sabotage: this.#sabotage }) };
    this.gateways.push(new GatewayProcess(name, this.around, settings));
  }

  /** Takes a gateway out of those that run. */
  remove(gateway: GatewayProcess): void {
    this.gateways = this.gateways.filter((other) => other !== gateway);
  }

  // ── who lives here ─────────────────────────────────────────────────────────

  #populate(): void {
    const { devices, publishers } = this.scenario;
    const { around, book } = this;
    devices.forEach((plan, i) => this.devices.push(this.#device(`device${i + 1}`, plan)));
    publishers.forEach((plan, i) => {
      const name = `publisher${i + 1}`;
      const device = new Device({ name, user: "publisher", stores: false, around, subscribers: [] });
      this.devices.push(device);
      const send = plan.by === "client" ? byClient(device) : this.#sendByGateway();
      this.#publishers.push(new Publishing({ name, plan, around, book, send }));
    });
  }

  #sendByGateway(): ReturnType<typeof byGateway> {
    const { time, dice } = this.around;
    const own = dice.split();
    const pick = (): GatewayProcess | undefined => (this.gateways.length > 0 ? own.pick(this.gateways) : undefined);
    return byGateway(pick, new ProcessClock(time, own));
  }

  #device(name: string, { user, stores, subscribers }: DevicePlan): Device {
    return new Device({
      name,
      user,
      stores,
      around: this.around,
      ...(this.#sabotage && { sabotage: this.#sabotage }),
      subscribers: subscribers.map((plan) => ({ plan, watcher: this.#watcher(name, user, stores, plan) })),
    });
  }

  #watcher(name: string, user: string, stores: boolean, { channel, start, durable }: SubscriberPlan): Watcher {
    const { time, findings, broker } = this.around;
    if (!keepsLog(channel)) {
      return { begin: () => new LossyWatch(`${name} on ${channel}`, this.book, findings) };
    }
    const isDeadLetter = (epoch: string, offset: number): boolean =>
      broker.ledger.hasTag(DEAD_LETTERS, "dead_letter_of", `${channel} ${epoch} ${offset}`);
    const trail = durable === undefined ? undefined : this.#trail(`${channel} ${user} ${durable}`);
    return new Witness(
      {
        name,
        channel,
        start,
        stores,
        maxAttempts: maxAttemptsOf(channel),
        calm: !this.scenario.rough && !this.scenario.faults.includes("disconnect"),
        isDeadLetter,
        ...(trail && { trail }),
      },
      { time, findings, ledger: broker.ledger },
    );
  }

  #trail(key: string): Trail {
    const trail = this.#trails.get(key) ?? newTrail();
    this.#trails.set(key, trail);
    return trail;
  }

  // ── the end ────────────────────────────────────────────────────────────────

  /** Nothing goes wrong from now on, and everyone comes back who has gone. */
  #heal(): void {
    const { network, journal, time } = this.around;
    journal.note(() => "all trouble ends");
    Object.assign(this.#weather, CALM);
    network.heal();
    while (this.gateways.length < this.scenario.gateways) this.startGateway();
    for (const publisher of this.#publishers) publisher.stop();
    const holders = new Set<string>();
    for (const subscriber of this.#subscribers()) {
      subscriber.calm = true;
      if (subscriber.subscribed) holders.add(subscriber.identity);
      subscriber.onEnded = () => time.after(NOTICED_MS, () => this.#replace(subscriber));
    }
    for (const subscriber of this.#subscribers()) {
      // Of those who share a durable subscription one holds it.
      if (holders.has(subscriber.identity)) continue;
      holders.add(subscriber.identity);
      subscriber.comeBack();
    }
  }

  /**
   * A subscribe that was under way when its page was reloaded may arrive after the new page's, and take the durable
   * subscription from it though nobody is left to hold it. The application hears of the take-over, and its user looks.
   */
  #replace(ended: Subscriber): void {
    const held = this.#subscribers().some((other) => other.subscribed && other.identity === ended.identity);
    if (!held) ended.comeBack();
  }

  #subscribers(): readonly Subscriber[] {
    return this.devices.flatMap((device) => device.subscribers);
  }

  #counts(): Counts {
    const subscribers = this.#subscribers();
    return {
      happened: this.around.time.happened,
      answered: this.book.answered,
      handled: subscribers.reduce((sum, { handled }) => sum + handled, 0),
      gaps: subscribers.reduce((sum, { gaps }) => sum + gaps, 0),
    };
  }

  /** One message to every channel, in calm weather. */
  #publishLast(): Promise<readonly Draft[]> {
    const plan = { by: "gateway", channels: [], messages: 0, everyMs: 1, hasty: false, padding: 0 } as const;
    const { around, book } = this;
    const last = new Publishing({ name: "last", plan, around, book, send: this.#sendByGateway() });
    const channels = new Set(this.scenario.publishers.flatMap((publisher) => publisher.channels));
    return Promise.all([...channels].map((channel) => last.publish(channel)));
  }

  #judge(last: readonly Draft[]): void {
    const { findings } = this.around;
    this.book.checkLog(DEAD_LETTERS);
    const holders = new Map<string, number>();
    for (const subscriber of this.#subscribers()) {
      const count = holders.get(subscriber.identity) ?? 0;
      holders.set(subscriber.identity, count + (subscriber.subscribed ? 1 : 0));
      const sent = last.filter(({ channel }) => channel === subscriber.plan.channel);
      subscriber.mustBeComplete(sent.map(({ data }) => JSON.stringify(data)));
    }
    for (const [identity, count] of holders) {
      if (count !== 1) findings.add("I10", `${count} hold the subscription ${identity}`);
    }
  }

  async #end(): Promise<void> {
    const { time, network, findings, broker } = this.around;
    for (const subscriber of this.#subscribers()) subscriber.onEnded = () => {};
    const closing = Promise.all(this.devices.map((device) => device.close()));
    await time.run(CLOSED_MS);
    await closing;
    for (const gateway of this.gateways) void gateway.drain(0);
    await time.run(ENDED_MS);
    for (const connection of network.connections)
      findings.add("I10", `the connection ${connection.name} was left behind`);
    for (const gateway of this.gateways) if (gateway.alive) findings.add("I10", `${gateway.name} did not end`);
    await broker.close();
    if (broker.waiting > 0) findings.add("I10", `the log left ${broker.waiting} timers behind`);
  }
}

function describe({ config, devices, publishers, weather, ...rest }: Scenario): string {
  return JSON.stringify({ queue: config.client.queue_bytes, ...rest, weather, devices, publishers });
}
