/** The Redis backbones, and the same `ioredis` calls in a bare loop, each in this process, on servers of its own on the first core. */
import { Redis, type ChainableCommander } from "ioredis";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import type { AppendOptions, Backbone } from "../../server/src/backbones/contract.ts";
import { encodeFrame } from "../../server/src/backbones/frame-text.ts";
import { slotOf } from "../../server/src/backbones/redis/slot.ts";
import { APPEND } from "../../server/src/backbones/redis/streams/scripts.ts";
import { backboneOf, ownServer } from "../../server/src/backbones/redis/test-redis.ts";
import { DATA_BYTES } from "../load-data.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import { Arrivals, channelOf, CHANNELS, messageOf, present, type Way } from "./way.ts";

type Confirm = "memory" | "disk" | "replicas";

const RETENTION = { ageMs: 7 * 86_400_000, messages: 1000 };
const DEDUPE_MS = 60_000;
const PUBLISH = "redis-pubsub, publish";
const ARRIVE = "redis-pubsub, publish and arrive";
const SHARDED = "redis-sharded, publish and arrive";

// ── the backbones ──────────────────────────────────────────────────────────

export async function* redisBackbones(): AsyncGenerator<Way> {
  {
    await using server = await single({});
    await using publisher = await opened({ type: "redis-pubsub", url: server.url });
    await using subscriber = await opened({ type: "redis-pubsub", url: server.url });
    yield { load: PUBLISH, one: publishing(publisher, (i) => `silent:${i % CHANNELS}`) };
    yield { load: ARRIVE, one: publishing(publisher, channelOf), arrived: await arrivals(subscriber) };
  }
  {
    await using cluster = await sharded();
    const settings = { type: "redis-sharded", cluster: cluster.urls };
    await using publisher = await opened(settings);
    await using subscriber = await opened(settings);
    yield { load: SHARDED, one: publishing(publisher, channelOf), arrived: await arrivals(subscriber) };
  }
  for (const confirm of ["memory", "disk", "replicas"] as const) {
    await using server = await streams(confirm);
    const settings = { type: "redis-streams", url: server.url, confirm };
    await using publisher = await opened(settings);
    const log = present(publisher.log);
    yield { load: appendOf(confirm), one: (i) => log.append(`silent:${i % CHANNELS}`, messageOf(i), appendOptions(i)) };
    await using subscriber = await opened(settings);
    const one = (i: number): Promise<unknown> => log.append(channelOf(i), messageOf(i), appendOptions(i));
    yield { load: arriveOf(confirm), one, arrived: await arrivals(subscriber) };
  }
}

function publishing(backbone: Backbone, channel: (i: number) => string): Way["one"] {
  const bus = present(backbone.bus);
  return (i) => bus.publish(channel(i), { kind: "message", message: messageOf(i) });
}

async function arrivals({ bus }: Backbone): Promise<Arrivals> {
  const arrived = new Arrivals();
  for (let i = 0; i < CHANNELS; i++) {
    await present(bus).subscribe(channelOf(i), (frame) => {
      if (frame.kind === "message") arrived.take(channelOf(i), frame.message.data);
    });
  }
  return arrived;
}

function appendOptions(i: number): AppendOptions {
  return { retention: RETENTION, dedupe: { key: keyOf(i), windowMs: DEDUPE_MS } };
}

async function opened(settings: object): Promise<Backbone & AsyncDisposable> {
  const backbone = await backboneOf(settings);
  await backbone.open();
  return Object.assign(backbone, { [Symbol.asyncDispose]: () => backbone.close() });
}

// ── the bare loops ─────────────────────────────────────────────────────────

export async function* bareRedis(): AsyncGenerator<Way> {
  {
    await using server = await single({});
    const [out, into] = [new Redis(server.url), new Redis(server.url)];
    using _ = ending([out, into]);
    const turns = new Turns(out);
    const publish = (channel: string, i: number): Promise<void> =>
      turns.call((pipeline) => pipeline.publish(channel, frameOf(i)));
    yield { load: PUBLISH, one: (i) => publish(`silent:${i % CHANNELS}`, i) };
    const arrived = new Arrivals();
    into.on("message", (channel: string, frame: string) => arrived.take(channel, dataIn(frame)));
    for (let i = 0; i < CHANNELS; i++) await into.subscribe(channelOf(i));
    yield { load: ARRIVE, one: (i) => publish(channelOf(i), i), arrived };
  }
  {
    await using cluster = await sharded();
    const [out, into] = [cluster.masters.map((url) => new Redis(url)), cluster.masters.map((url) => new Redis(url))];
    using _ = ending([...out, ...into]);
    const turns = out.map((master) => new Turns(master));
    const arrived = new Arrivals();
    for (const listener of into)
      listener.on("smessage", (channel: string, frame: string) => arrived.take(channel, dataIn(frame)));
    for (let i = 0; i < CHANNELS; i++) await present(into[holderOf(channelOf(i))]).ssubscribe(channelOf(i));
    const one = (i: number): Promise<void> => {
      const channel = channelOf(i);
      const payload = `${channel}\n${frameOf(i)}`;
      return present(turns[holderOf(channel)]).call((pipeline) => pipeline.spublish(channel, payload));
    };
    yield { load: SHARDED, one, arrived };
  }
  for (const confirm of ["memory", "disk", "replicas"] as const) {
    await using server = await streams(confirm);
    const [out, into] = [new Redis(server.url), new Redis(server.url)];
    using _ = ending([out, into]);
    await out.script("LOAD", APPEND.source);
    const turns = new Turns(out, confirm === "replicas");
    yield { load: appendOf(confirm), one: (i) => append(turns, `silent:${i % CHANNELS}`, i) };
    const arrived = new Arrivals();
    into.on("message", (name: string, frame: string) => arrived.take(channelOfBus(name), dataIn(frame)));
    for (let i = 0; i < CHANNELS; i++) await into.subscribe(busOf(channelOf(i)));
    yield { load: arriveOf(confirm), one: (i) => append(turns, channelOf(i), i), arrived };
  }
}

/** `redis-cli --cluster create` gives the slots to the first three, a third each. */
function holderOf(channel: string): number {
  return Math.min(2, Math.floor(slotOf(channel) / (16_384 / 3)));
}

/** With the same script as the backbone, which publishes as well; the backbone does so in a second one where replicas confirm. */
function append(turns: Turns, channel: string, i: number): Promise<void> {
  const base = `bare:{${channel}}`;
  const message = messageOf(i);
  const keys = [`${base}:meta`, `${base}:log`, busOf(channel), `${base}:key:${keyOf(i)}`];
  const { messages, ageMs } = RETENTION;
  const about = ["epoch 0", "PUBLISH", JSON.stringify(message), message.data.length, message.time];
  const args = [...about, messages, ageMs, 0, ageMs, DEDUPE_MS];
  return turns.call((pipeline) => pipeline.evalsha(APPEND.sha, keys.length, ...keys, ...args));
}

const [BUS_BEGIN, BUS_END] = ["bare:{", "}:bus"];

function busOf(channel: string): string {
  return BUS_BEGIN + channel + BUS_END;
}

function channelOfBus(name: string): string {
  return name.slice(BUS_BEGIN.length, -BUS_END.length);
}

interface BareCall {
  readonly add: (pipeline: ChainableCommander) => unknown;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Calls of one turn in one pipeline, as anybody would write it; with a WAIT at its end, one pipeline after the other. */
class Turns {
  readonly #redis: Redis;
  readonly #wait: boolean;
  #waiting: BareCall[] = [];
  #sending: Promise<void> = Promise.resolve();

  constructor(redis: Redis, wait = false) {
    this.#redis = redis;
    this.#wait = wait;
  }

  /** `add` puts its command into the pipeline. */
  call(add: BareCall["add"]): Promise<void> {
    return new Promise((done, failed) => {
      if (this.#waiting.push({ add, done, failed }) > 1) return;
      queueMicrotask(() => {
        const calls = this.#waiting.splice(0);
        this.#sending = this.#wait ? this.#sending.then(() => this.#send(calls)) : this.#send(calls);
      });
    });
  }

  async #send(calls: readonly BareCall[]): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const { add } of calls) add(pipeline);
    if (this.#wait) pipeline.wait(1, 1000);
    try {
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
      for (const { done } of calls) done();
    } catch (error) {
      for (const { failed } of calls) failed(error);
    }
  }
}

const DATA = String.raw`"data":"\"`;

/** The data, as JSON, in a frame's text: without looking at anything else. */
function dataIn(frame: string): string {
  const begin = frame.indexOf(DATA) + DATA.length;
  return `"${frame.slice(begin, begin + DATA_BYTES - 2)}"`;
}

function ending(connections: readonly Redis[]): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const one of connections) one.disconnect();
    },
  };
}

// ── both ───────────────────────────────────────────────────────────────────

interface OneRedis extends AsyncDisposable {
  readonly url: string;
}

function appendOf(confirm: Confirm): string {
  return `redis-streams, confirm: ${confirm}`;
}

function arriveOf(confirm: Confirm): string {
  return `${appendOf(confirm)}, append and arrive`;
}

function keyOf(i: number): string {
  return `k${i}`;
}

function frameOf(i: number): string {
  return encodeFrame({ kind: "message", message: messageOf(i) });
}

export async function single(
  settings: Readonly<Record<string, string>>,
): Promise<OneRedis & { readonly port: number }> {
  const { server, end } = await ownServer({ save: "", ...settings });
  pin(server.pid ?? 0, SERVER_CORE);
  const { port } = server;
  return { port, url: `redis://127.0.0.1:${port}`, [Symbol.asyncDispose]: end };
}

async function sharded(): Promise<AsyncDisposable & { readonly urls: string[]; readonly masters: string[] }> {
  const { urls, servers, end } = await ownServers("redis-cluster");
  for (const { pid } of servers) pin(pid ?? 0, SERVER_CORE);
  return { urls: [...urls], masters: urls.slice(0, 3), [Symbol.asyncDispose]: end };
}

async function streams(confirm: Confirm): Promise<OneRedis> {
  if (confirm === "memory") return single({});
  if (confirm === "disk") return single({ appendonly: "yes", appendfsync: "always" });
  const first = await single({});
  const second = await single({ replicaof: `127.0.0.1 ${first.port}`, "repl-diskless-sync-delay": "0" });
  const asking = new Redis(first.url);
  while (!(await asking.info("replication")).includes("state=online")) await asking.ping();
  asking.disconnect();
  return {
    url: first.url,
    [Symbol.asyncDispose]: async () => {
      await second[Symbol.asyncDispose]();
      await first[Symbol.asyncDispose]();
    },
  };
}
