/**
 * One server of several processes, publishers that retry and subscribers that come and go, while its processes are killed,
 * replaced and told to leave. Everything is in the log of events, with what the log kept at the end.
 */
import { Todoku, type CursorStore } from "@todoku/client";
import type { Delivery } from "../../server/src/backbones/contract.ts";
import type { ConfigInput } from "../../server/src/config.ts";
import { EventLog, type Event } from "../events.ts";
import { closing, type Channels } from "../kill/payload.ts";
import { publish, publishOn } from "../kill/publisher.ts";
import { Clients, noteStored } from "../kill/run.ts";
import { roam, Subscriber, type Habit } from "../kill/subscriber.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { ServerProcess } from "../server-process.ts";
import { eventually, isAlive, processesOf, replaced, whole } from "./processes.ts";

export interface Fault {
  readonly name: string;
  strike(server: ServerProcess, random: SeededRandom): Promise<void>;
}

export const killWorker: Fault = {
  name: "a worker is killed",
  strike: async (server, random) => {
    await replaced(server, random.pick(processesOf(server).workers), "SIGKILL");
  },
};

export const killStore: Fault = {
  name: "the owner of the store is killed",
  strike: async (server) => {
    const { store } = processesOf(server);
    if (store === undefined) throw new Error("there is no owner");
    await replaced(server, store, "SIGKILL");
  },
};

export const endWorker: Fault = {
  name: "a worker is told to end",
  strike: async (server, random) => {
    await replaced(server, random.pick(processesOf(server).workers), "SIGTERM");
  },
};

export const reload: Fault = {
  name: "all workers are replaced",
  strike: async (server) => {
    const { workers } = processesOf(server);
    server.program.signal("SIGHUP");
    await eventually("all are replaced", () => !workers.some(isAlive));
  },
};

export interface WorkersRunOptions {
  readonly random: SeededRandom;
  readonly config: ConfigInput;
  /** What is demanded, by namespace. */
  readonly demands: Readonly<Record<string, Delivery>>;
  readonly faults: readonly Fault[];
  readonly publishers: number;
  readonly steady: number;
  /** Durable subscribers, which come and go; none at-most-once. */
  readonly durable: number;
}

export interface WorkersRunOutcome {
  readonly events: readonly Event[];
  readonly acknowledged: number;
  readonly handled: number;
}

/** What has not come when nothing has come for so long, does not come. */
const STALLED_MS = 30_000;
const CHANNELS = 3;
const HABITS: Readonly<Record<Delivery, readonly Habit[]>> = {
  "at-most-once": ["server only"],
  "at-least-once": ["server only"],
  "exactly-once": ["with the effect", "file"],
};

export async function workersRun(options: WorkersRunOptions): Promise<WorkersRunOutcome> {
  const { random, config, demands, faults } = options;
  const log = new EventLog();
  const channels = Object.entries(demands).flatMap(([namespace, delivery]) =>
    Array.from({ length: CHANNELS }, (_, n) => ({ channel: `${namespace}:${n}`, delivery })),
  );
  const names = channels.map(({ channel }) => channel);
  for (const { channel, delivery } of channels) log.append({ kind: "promise", channel, delivery });
  await using server = await ServerProcess.start(config);
  await server.keepCompiledCode();
  await using clients = new Clients();
  const stop = new AbortController();
  using _ = { [Symbol.dispose]: () => stop.abort() };
  const makeClient = (cursors?: CursorStore): Todoku<Channels> => clients.make(server.url, cursors);

  const steady = Array.from({ length: options.steady }, (_, i) => {
    return new Subscriber(`steady-${i}`, names[i % names.length] ?? "", log);
  });
  await Promise.all(steady.map((subscriber) => subscriber.follow(makeClient())));
  const durable = Array.from({ length: options.durable }, (_, i) => {
    return new Subscriber(`durable-${i}`, names[i % names.length] ?? "", log);
  });
  const roaming = durable.map((subscriber, i) => {
    const habits = HABITS[channels[i % channels.length]?.delivery ?? "at-most-once"];
    const habit = habits[Math.floor(i / channels.length) % habits.length] ?? "server only";
    return roam(subscriber, habit, server.folder, makeClient, log, random.fork(), stop.signal);
  });
  const publishers = Array.from({ length: options.publishers }, (_, i) =>
    publishOn(makeClient(), `publisher-${i}`, names, log, random.fork(), stop.signal),
  );

  const progress = async (count: number): Promise<void> => {
    const later = log.count("ok") + count;
    const published = (): number => log.count("ok");
    if (!(await log.comes(() => published() >= later, published, STALLED_MS)))
      throw new Error("publishing did not come back");
  };
  /** Resolves when each has handled something that was sent from now on: whoever was cut off is back. */
  const everybodyIsReached = async (): Promise<void> => {
    const from = log.events.length;
    const missing = (): string[] => {
      const events = log.events.slice(from);
      const sent = new Set(events.flatMap((event) => (event.kind === "publish" ? [event.key] : [])));
      const reached = new Set(
        events.flatMap((event) => (event.kind === "handled" && sent.has(event.key) ? [event.subscriber] : [])),
      );
      return steady.map(({ name }) => name).filter((name) => !reached.has(name));
    };
    if (
      !(await log.comes(
        () => missing().length === 0,
        () => -missing().length,
        STALLED_MS,
      ))
    )
      throw new Error(`nothing reaches ${missing().join(", ")}`);
  };
  for (const fault of faults) {
    await progress(random.integer(5, 40));
    log.append({ kind: "fault", name: fault.name });
    await fault.strike(server, random);
    await whole(server);
    await progress(20);
    await everybodyIsReached();
    log.append({ kind: "healed", name: fault.name });
  }
  stop.abort();
  await Promise.all([...publishers, ...roaming]);
  const closer = makeClient();
  for (const channel of names) await publish(closer, "closer", channel, closing(channel), log);
  const subscribers = [...steady, ...durable];
  // Who does not come to the end is found by the checker: it misses something.
  await log.comes(
    () => subscribers.every(({ finished }) => finished),
    () => log.count("handled"),
    STALLED_MS,
  );
  for (const { channel, delivery } of channels) if (delivery !== "at-most-once") await noteStored(closer, channel, log);
  return { events: log.events, acknowledged: log.count("ok"), handled: log.count("handled") };
}
