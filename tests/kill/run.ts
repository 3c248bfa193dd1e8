/**
 * One run under fire: publishers that retry, subscribers that stay and durable ones that come and go, while the server is
 * killed and started again, and connections are cut between an answer and its arrival. Everything is in the log of events.
 */
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { Todoku, type CursorStore } from "@todoku/client";
import type { Delivery } from "../../server/src/backbones/contract.ts";
import type { ConfigInput } from "../../server/src/config.ts";
import { EventLog, type Event } from "../events.ts";
import { FaultyProxy } from "../faulty-proxy.ts";
import { SeededRandom } from "../seeded-random.ts";
import { ServerProcess } from "../server-process.ts";
import { loseCursors, noteCursors } from "./data-folder.ts";
import { closing, type Channels } from "./payload.ts";
import { publish, publishOn } from "./publisher.ts";
import { roam, Subscriber, type Habit } from "./subscriber.ts";

export interface RunOptions {
  readonly seed: number;
  readonly kills: number;
  readonly publishers: number;
  /** Subscribers that stay. */
  readonly steady: number;
  /** Durable subscribers, which come and go. */
  readonly durable: number;
  /** The server's configuration, with a log in the folder `data`. */
  readonly config: ConfigInput;
  /** What is demanded, by namespace; the server may have been configured to promise something else. */
  readonly demands: Readonly<Record<string, Delivery>>;
  readonly channelsPerNamespace: number;
  /** The server forgets its durable cursors with each kill. */
  readonly losesCursors?: boolean;
}

export interface RunOutcome {
  readonly events: readonly Event[];
  readonly acknowledged: number;
  /** Publishes that were repeated after they had been stored. */
  readonly duplicates: number;
  readonly handled: number;
}

const HABITS: Readonly<Record<Delivery, readonly Habit[]>> = {
  "at-most-once": ["server only"],
  "at-least-once": ["server only"],
  "exactly-once": ["with the effect", "file"],
};

/** Who has not come to the end when nothing was handled for so long, does not come to it. */
const STALLED_MS = 30_000;

export async function killRun(options: RunOptions): Promise<RunOutcome> {
  const { seed, config, demands, channelsPerNamespace } = options;
  const random = new SeededRandom(seed);
  const log = new EventLog();
  const numbers = Array.from({ length: channelsPerNamespace }, (_, i) => i);
  const channels = Object.entries(demands).flatMap(([namespace, delivery]) =>
    numbers.map((n) => ({ channel: `${namespace}:${n}`, delivery })),
  );
  for (const { channel, delivery } of channels) log.append({ kind: "promise", channel, delivery });

  await using server = await ServerProcess.prepare(config);
  await server.keepCompiledCode();
  await server.restart();
  await using publishersProxy = await FaultyProxy.start(server.port);
  await using durablesProxy = await FaultyProxy.start(server.port);
  await using clients = new Clients();
  const stop = new AbortController();

  const subscribers: Subscriber[] = [];
  const chooseChannel = (i: number): (typeof channels)[number] => channels[i % channels.length]!;
  const steady = Array.from({ length: options.steady }, (_, i) => {
    const subscriber = new Subscriber(`steady-${i}`, chooseChannel(i).channel, log);
    subscribers.push(subscriber);
    return subscriber.follow(clients.make(server.url));
  });
  const durable = Array.from({ length: options.durable }, (_, i) => {
    const { channel, delivery } = chooseChannel(i);
    const subscriber = new Subscriber(`durable-${i}`, channel, log);
    subscribers.push(subscriber);
    const habits = HABITS[delivery];
    const habit = habits[Math.floor(i / channels.length) % habits.length]!;
    const makeClient = (cursors: CursorStore | undefined): Todoku<Channels> => clients.make(durablesProxy.url, cursors);
    return roam(subscriber, habit, server.folder, makeClient, log, random.fork(), stop.signal);
  });
  await Promise.all(steady);
  const names = channels.map(({ channel }) => channel);
  const publishers = Array.from({ length: options.publishers }, (_, i) =>
    publishOn(clients.make(publishersProxy.url), `publisher-${i}`, names, log, random.fork(), stop.signal),
  );

  for (let i = 0; i < options.kills; i++) {
    await strike(server, [publishersProxy, durablesProxy], options, log, random);
  }

  stop.abort();
  await Promise.all([...publishers, ...durable]);
  const reader = clients.make(server.url);
  for (const channel of names) await publish(reader, "closer", channel, closing(channel), log);
  // Who does not is found by the checker: it misses something.
  await log.comes(
    () => subscribers.every(({ finished }) => finished),
    () => log.count("handled"),
    STALLED_MS,
  );
  for (const channel of names) await noteStored(reader, channel, log);

  const { events } = log;
  return {
    events,
    acknowledged: log.count("ok"),
    duplicates: events.filter((event) => event.kind === "ok" && event.duplicate).length,
    handled: log.count("handled"),
  };
}

/** Waits for some progress, then cuts connections, kills the server at some moment, and starts it again. */
async function strike(
  server: ServerProcess,
  [publishersProxy, durablesProxy]: readonly [FaultyProxy, FaultyProxy],
  { losesCursors }: RunOptions,
  log: EventLog,
  random: SeededRandom,
): Promise<void> {
  const data = path.join(server.folder, "data");
  const progress = log.count("ok") + random.integer(1, 40);
  await log.until(() => log.count("ok") >= progress);
  log.append({ kind: "fault", name: "server" });
  await publishersProxy.cutAfterAnswer();
  durablesProxy.cut();
  await after(random.integer(0, 60));
  await server.kill();
  await noteCursors(data, log);
  if (losesCursors) await loseCursors(data);
  await server.restart();
  log.append({ kind: "healed", name: "server" });
}

/** Reads the log of a channel from its beginning. */
export async function noteStored(client: Todoku<Channels>, channel: string, log: EventLog): Promise<void> {
  let { position: since } = await client.history(channel, { limit: 0 });
  const { offset: head, epoch } = since;
  since = { epoch, offset: 0 };
  while (since.offset < head) {
    const { messages } = await client.history(channel, { since });
    for (const { data, offset = 0 } of messages) {
      since = { epoch, offset };
      log.append({ kind: "stored", channel, key: data.key, data: data.text, position: since });
    }
    if (messages.length === 0) throw new Error(`the log of ${channel} ends at ${since.offset}, its head is ${head}`);
  }
}

/** All clients of a run, to be closed at its end. */
export class Clients implements AsyncDisposable {
  readonly #clients: Todoku<Channels>[] = [];

  make(url: string, cursors?: CursorStore): Todoku<Channels> {
    const client = new Todoku<Channels>(url, {
      backoff: { firstMs: 300, lastMs: 1000 },
      ...(cursors && { cursors }),
    });
    // A server that cannot be reached is what this is about.
    client.on("error", () => {});
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Crashed ones have a handler that never ends: cut off, they leave nothing behind.
    for (const client of this.#clients) client.disconnect();
  }
}
