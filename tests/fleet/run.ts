/**
 * Three gateways behind a balancer on one broker, publishers that retry and subscribers that come and go, while one thing
 * after the other is broken. Everything is in the log of events, with what the log kept at the end.
 */
import { setTimeout as after } from "node:timers/promises";
import { Todoku, type CursorStore } from "@todoku/client";
import type { Delivery, Log } from "../../server/src/backbones/contract.ts";
import { backboneSchema, createBackbone } from "../../server/src/backbones/registry.ts";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import type { ServerProcess as BrokerProcess } from "../../scripts/brokers/server-process.ts";
import { systemClock } from "../../server/src/clock.ts";
import type { ConfigInput } from "../../server/src/config.ts";
import { EventLog, type Event } from "../events.ts";
import { FaultyProxy } from "../faulty-proxy.ts";
import { closing, type Channels } from "../kill/payload.ts";
import { publish, publishOn } from "../kill/publisher.ts";
import { roam, Subscriber, type Habit } from "../kill/subscriber.ts";
import { SeededRandom } from "../seeded-random.ts";
import { ServerProcess } from "../server-process.ts";
import { Balancer } from "./balancer.ts";
import { inPresentEpochs, noteStored } from "./epochs.ts";
import type { Fault, Stage } from "./faults.ts";

export interface FleetRunOptions {
  readonly seed: number;
  /** The brokers, which belong to this run. */
  readonly start: () => Promise<Brokers>;
  /** The backbone's settings. */
  readonly backbone: (urls: readonly string[]) => Record<string, unknown>;
  readonly delivery: Delivery;
  /** What is configured, where it is not what is demanded: for controls. */
  readonly namespace?: Record<string, unknown>;
  /** The settings of the storage behind the log; absent: there is none. */
  readonly storage?: Record<string, unknown>;
  /** Given to Node for each gateway. */
  readonly nodeFlags?: readonly string[];
  readonly faults: readonly Fault[];
  readonly publishers: number;
  /** Subscribers that stay. */
  readonly steady: number;
  /** Durable subscribers, which come and go; none at-most-once. */
  readonly durable: number;
  readonly channels: number;
  /** Looks at what is left when everybody has everything; the log is read for the checker by then, and may be broken. */
  readonly judge?: (end: FleetEnd) => Promise<void>;
  /** Hears how the run goes. */
  readonly told?: (line: string) => void;
}

/** A fleet at the end of its run, with nothing broken. */
export interface FleetEnd {
  /** Where the gateways are reached. */
  readonly url: string;
  readonly brokers: Brokers;
  readonly channels: readonly string[];
  /** The log itself, past all gateways, without a storage behind it. */
  readonly log: Log;
}

/** What the gateways meet on. */
export interface Brokers extends AsyncDisposable {
  /** As the gateways reach them. */
  readonly urls: readonly string[];
  readonly servers: readonly BrokerProcess[];
  /** Between the gateways and the servers; none if nothing is to be cut. */
  readonly proxies: readonly FaultyProxy[];
}

export interface FleetRunOutcome {
  readonly events: readonly Event[];
  readonly acknowledged: number;
  readonly handled: number;
}

const GATEWAYS = 3;
/** What has not come when nothing has come for so long, does not come. */
const STALLED_MS = 60_000;
const HABITS: Readonly<Record<Delivery, readonly Habit[]>> = {
  "at-most-once": ["server only"],
  "at-least-once": ["server only"],
  "exactly-once": ["with the effect", "file"],
};

export async function fleetRun(options: FleetRunOptions): Promise<FleetRunOutcome> {
  const { seed, delivery } = options;
  const random = new SeededRandom(seed);
  const log = new EventLog();
  await using brokers = await options.start();
  const { servers, proxies } = brokers;
  const settings = options.backbone(brokers.urls);
  await using fleet = await startFleet(configOf(settings, options), options.nodeFlags);
  await using clients = new Clients();
  const channels = Array.from({ length: options.channels }, (_, i) => `fleet:${i}`);
  for (const channel of channels) log.append({ kind: "promise", channel, delivery });

  const stop = new AbortController();
  using _ = { [Symbol.dispose]: () => stop.abort() };
  const subscribers = Array.from({ length: options.steady + options.durable }, (_, i) => {
    const kind = i < options.steady ? "steady" : "durable";
    return new Subscriber(`${kind}-${i}`, channels[i % channels.length] ?? "", log);
  });
  const steady = subscribers.slice(0, options.steady);
  await Promise.all(steady.map((subscriber) => subscriber.follow(clients.make(fleet.url))));
  const roaming = subscribers.slice(options.steady).map((subscriber, i) => {
    const habits = HABITS[delivery];
    const habit = habits[i % habits.length] ?? "server only";
    const makeClient = (cursors: CursorStore | undefined): Todoku<Channels> => clients.make(fleet.url, cursors);
    return roam(subscriber, habit, fleet.folder, makeClient, log, random.fork(), stop.signal);
  });
  const publishers = Array.from({ length: options.publishers }, (_, i) =>
    publishOn(clients.make(fleet.url), `publisher-${i}`, channels, log, random.fork(), stop.signal),
  );

  const published = (): number => log.count("ok");
  const progress = async (): Promise<void> => {
    const later = published() + 20;
    if (!(await log.comes(() => published() >= later, published, STALLED_MS)))
      throw new Error("publishing does not come back");
  };
  const stage: Stage = { gateways: fleet.gateways, servers, proxies, urls: brokers.urls, random, progress };
  const begun = Date.now();
  for (const fault of options.faults) {
    await progress();
    log.append({ kind: "fault", name: fault.name });
    await fault.strike(stage);
    await progress();
    options.told?.(`${((Date.now() - begun) / 1000).toFixed(1)} s: ${fault.name} is over`);
    if (delivery === "at-most-once") await resubscribed(subscribers, log, clients.make(fleet.url), channels);
    log.append({ kind: "healed", name: fault.name });
  }
  stop.abort();
  await Promise.all([...publishers, ...roaming]);
  if (delivery === "at-most-once") {
    return { events: log.events, acknowledged: log.count("ok"), handled: log.count("handled") };
  }
  // Awaited here: what is disposed of at the end of this function is still needed.
  return await finish(log, subscribers, clients.make(fleet.url), channels, settings, async (kept) =>
    options.judge?.({ url: fleet.url, brokers, channels, log: kept }),
  );
}

/** Sends the last messages, waits for everybody to have them, and adds what the log kept. */
async function finish(
  log: EventLog,
  subscribers: readonly Subscriber[],
  closer: Todoku<Channels>,
  channels: readonly string[],
  settings: Record<string, unknown>,
  judge: (log: Log) => Promise<void>,
): Promise<FleetRunOutcome> {
  for (const channel of channels) await publish(closer, "closer", channel, closing(channel), log);
  const late = (): readonly Subscriber[] => subscribers.filter(({ finished }) => !finished);
  if (
    !(await log.comes(
      () => late().length === 0,
      () => log.count("handled"),
      STALLED_MS,
    ))
  ) {
    const names = late().map(({ name, channel }) => `${name} on ${channel}`);
    throw new Error(`nothing more comes, and these are not at the end: ${names.join(", ")}`);
  }
  const backbone = await createBackbone("end", backboneSchema.parse(settings), systemClock);
  await backbone.open();
  const kept = backbone.log;
  if (!kept) throw new Error("the run has no log to be judged by");
  const epochs = new Map(
    await Promise.all(channels.map(async (channel) => [channel, await noteStored(kept, channel, log)] as const)),
  );
  await judge(kept);
  await backbone.close();
  return {
    events: inPresentEpochs(log.events, epochs),
    acknowledged: log.count("ok"),
    handled: log.count("handled"),
  };
}

/** At-most-once, a subscriber is back when something reaches it: loss before that belongs to the fault. */
async function resubscribed(
  subscribers: readonly Subscriber[],
  log: EventLog,
  prober: Todoku<Channels>,
  channels: readonly string[],
): Promise<void> {
  const counts = subscribers.map(({ count }) => count);
  const missing = (): number => subscribers.filter(({ count }, i) => count <= (counts[i] ?? 0)).length;
  const over = new AbortController();
  const back = log
    .comes(
      () => missing() === 0,
      () => -missing(),
      STALLED_MS,
    )
    .finally(() => over.abort());
  for (let n = 0; !over.signal.aborted; n++) {
    for (const channel of channels) {
      await publish(prober, "prober", channel, { key: `probe ${channel} ${Date.now()} ${n}`, text: "" }, log);
    }
    await after(100);
  }
  if (!(await back)) throw new Error(`nothing reaches ${missing()} of ${subscribers.length} subscribers`);
}

function configOf(settings: Record<string, unknown>, { delivery, namespace, storage }: FleetRunOptions): ConfigInput {
  const open = { subscribe: "any", publish: "any", history: "any" } as const;
  return {
    auth: { insecure: true },
    client: {
      ping: "2s",
      pong: "1s",
      beacon: "1s",
      unauthenticated_per_address: 10_000,
      rate: { commands: "off", publish: "off", subscribe: "off", connects: "off" },
    },
    log: { level: "silent" },
    backbones: { shared: settings as never },
    ...(storage && { storage: { archive: storage as never } }),
    namespaces: {
      fleet: {
        ...open,
        backbone: "shared",
        delivery,
        ...(delivery !== "at-most-once" && { retention: { messages: 1_000_000 } }),
        ...(storage && { storage: "archive" }),
        ...namespace,
      },
    },
  };
}

interface RunningFleet extends AsyncDisposable {
  readonly gateways: readonly ServerProcess[];
  readonly url: string;
  /** For the subscribers' own files. */
  readonly folder: string;
}

async function startFleet(config: ConfigInput, nodeFlags: readonly string[] = []): Promise<RunningFleet> {
  const gateways = await Promise.all(Array.from({ length: GATEWAYS }, () => ServerProcess.start(config, nodeFlags)));
  const balancer = await Balancer.start(gateways.map(({ port }) => port));
  return {
    gateways,
    url: balancer.url,
    folder: gateways[0]?.folder ?? "",
    [Symbol.asyncDispose]: async () => {
      await balancer[Symbol.asyncDispose]();
      await Promise.all(gateways.map((gateway) => gateway[Symbol.asyncDispose]()));
    },
  };
}

/** Redis, as its recipe starts it; a lone one perhaps reached through a proxy. */
export async function redisServers(recipe: string, through?: "a proxy"): Promise<Brokers> {
  const { urls, servers, end } = await ownServers(recipe);
  const proxy = through && (await FaultyProxy.start(servers[0]?.port ?? 0));
  return {
    urls: proxy ? [proxy.url.replace("http", "redis")] : urls,
    servers,
    proxies: proxy ? [proxy] : [],
    [Symbol.asyncDispose]: async () => {
      await proxy?.[Symbol.asyncDispose]();
      await end();
    },
  };
}

/** All clients of a run, to be closed at its end. */
class Clients implements AsyncDisposable {
  readonly #clients: Todoku<Channels>[] = [];

  make(url: string, cursors?: CursorStore): Todoku<Channels> {
    const client = new Todoku<Channels>(url, {
      backoff: { firstMs: 200, lastMs: 1000 },
      timeoutMs: 6000,
      ...(cursors && { cursors }),
    });
    // A fleet that cannot be reached is what this is about.
    client.on("error", () => {});
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.disconnect();
  }
}
