/**
 * The Redis backbones beside the same `ioredis` calls in a bare loop, in one process and on the same servers: how many
 * messages a second are taken, how many reach another connection, and what they cost in Redis' memory.
 */
import { Redis } from "ioredis";
import type { Script } from "../server/src/backbones/redis/streams/script.ts";
import { APPEND } from "../server/src/backbones/redis/streams/scripts.ts";
import { slotOf } from "../server/src/backbones/redis/slot.ts";
import { ownServers } from "../scripts/brokers/own-servers.ts";
import { backboneOf, ownServer } from "../server/src/backbones/redis/test-redis.ts";
import type { Backbone, Message } from "../server/src/backbones/contract.ts";
import { encodeFrame } from "../server/src/backbones/frame-text.ts";
import { dataOf } from "./load-data.ts";
import { median, printTable, short } from "./table.ts";

const ROUNDS = 7;
const ROUND_MS = 700;
const UNDER_WAY = 200;
const CHANNELS = 50;
const RETENTION = { ageMs: 7 * 86_400_000, messages: 1000 };

/** One way of doing a thing, `UNDER_WAY` of them at once. */
interface Way {
  one(i: number): Promise<unknown>;
  /** How many have arrived at the other end; absent where nobody waits for them. */
  readonly arrived?: () => number;
}

interface Comparison {
  readonly title: string;
  readonly ours: Way;
  readonly bare: Way;
}

export async function redis(): Promise<void> {
  const rows: string[][] = [];
  const compare = async ({ title, ours, bare }: Comparison): Promise<void> => {
    const rates: { ours: number[]; bare: number[] } = { ours: [], bare: [] };
    await perSecond(ours);
    await perSecond(bare);
    for (let round = 0; round < ROUNDS; round++) {
      rates.ours.push(await perSecond(ours));
      rates.bare.push(await perSecond(bare));
    }
    const ratio = median(rates.ours.map((rate, i) => rate / (rates.bare[i] ?? rate)));
    rows.push([title, short(median(rates.ours)), short(median(rates.bare)), ratio.toFixed(2)]);
  };
  await pubsub(compare);
  await sharded(compare);
  await streams(compare);
  printTable(["messages a second", "backbone", "bare loop", "ratio"], rows);
  console.log();
  await memory();
}

type Compare = (comparison: Comparison) => Promise<void>;

async function pubsub(compare: Compare): Promise<void> {
  const { server, end } = await ownServer({ save: "" });
  const url = `redis://127.0.0.1:${server.port}`;
  const [publisher, subscriber] = [
    await open({ type: "redis-pubsub", url }),
    await open({ type: "redis-pubsub", url }),
  ];
  const { bus } = publisher;
  const [out, into] = [new Redis(url), new Redis(url)];
  const text = (i: number): string => encodeFrame({ kind: "message", message: messageOf(i) });
  await compare({
    title: "redis-pubsub, publish",
    ours: { one: (i) => bus?.publish(`silent:${i % CHANNELS}`, { kind: "message", message: messageOf(i) }) ?? never() },
    bare: { one: (i) => out.publish(`silent:${i % CHANNELS}`, text(i)) },
  });
  let [ours, bare] = [0, 0];
  for (let i = 0; i < CHANNELS; i++) await subscriber.bus?.subscribe(`c:${i}`, () => ours++);
  into.on("message", () => bare++);
  for (let i = 0; i < CHANNELS; i++) await into.subscribe(`bare:${i}`);
  await compare({
    title: "redis-pubsub, publish and arrive",
    ours: {
      one: (i) => bus?.publish(`c:${i % CHANNELS}`, { kind: "message", message: messageOf(i) }) ?? never(),
      arrived: () => ours,
    },
    bare: { one: (i) => out.publish(`bare:${i % CHANNELS}`, text(i)), arrived: () => bare },
  });
  out.disconnect();
  into.disconnect();
  await publisher.close();
  await subscriber.close();
  await end();
}

async function sharded(compare: Compare): Promise<void> {
  const { urls, end } = await ownServers("redis-cluster");
  const settings = { type: "redis-sharded", cluster: urls };
  const [publisher, subscriber] = [await open(settings), await open(settings)];
  const masters = urls.slice(0, 3).map((url) => new Redis(url));
  const listeners = urls.slice(0, 3).map((url) => new Redis(url));
  // `redis-cli --cluster create` gives the slots to the first three, a third each.
  const holder = (channel: string): number => Math.min(2, Math.floor(slotOf(channel) / (16_384 / 3)));
  let [ours, bare] = [0, 0];
  for (let i = 0; i < CHANNELS; i++) {
    await subscriber.bus?.subscribe(`c:${i}`, () => ours++);
    await listeners[holder(`bare:${i}`)]?.ssubscribe(`bare:${i}`);
  }
  for (const listener of listeners) listener.on("smessage", () => bare++);
  const { bus } = publisher;
  await compare({
    title: "redis-sharded, publish and arrive",
    ours: {
      one: (i) => bus?.publish(`c:${i % CHANNELS}`, { kind: "message", message: messageOf(i) }) ?? never(),
      arrived: () => ours,
    },
    bare: {
      one: (i) => {
        const channel = `bare:${i % CHANNELS}`;
        const payload = `${channel}\n${encodeFrame({ kind: "message", message: messageOf(i) })}`;
        return masters[holder(channel)]?.spublish(channel, payload) ?? never();
      },
      arrived: () => bare,
    },
  });
  for (const one of [...masters, ...listeners]) one.disconnect();
  await publisher.close();
  await subscriber.close();
  await end();
}

async function streams(compare: Compare): Promise<void> {
  const settings = { save: "" };
  const quick = await ownServer(settings);
  await append(compare, "redis-streams, confirm: memory", `redis://127.0.0.1:${quick.server.port}`, "memory");
  await quick.end();
  const safe = await ownServer({ ...settings, appendonly: "yes", appendfsync: "always" });
  await append(compare, "redis-streams, confirm: disk", `redis://127.0.0.1:${safe.server.port}`, "disk");
  await safe.end();
  const first = await ownServer(settings);
  const second = await ownServer({
    ...settings,
    replicaof: `127.0.0.1 ${first.server.port}`,
    "repl-diskless-sync-delay": "0",
  });
  const url = `redis://127.0.0.1:${first.server.port}`;
  const asking = new Redis(url);
  while (!(await asking.info("replication")).includes("state=online")) await asking.ping();
  asking.disconnect();
  await append(compare, "redis-streams, confirm: replicas", url, "replicas");
  await second.end();
  await first.end();
}

async function append(
  compare: Compare,
  title: string,
  url: string,
  confirm: "memory" | "disk" | "replicas",
): Promise<void> {
  const { log, close } = await logOf({ type: "redis-streams", url, confirm });
  const out = new Redis(url);
  await out.script("LOAD", APPEND.source);
  const bare = new BareScripts(out, APPEND, confirm === "replicas");
  const dedupe = (i: number): string => `k${i}`;
  await compare({
    title,
    ours: {
      one: (i) =>
        log.append(`c:${i % CHANNELS}`, messageOf(i), {
          retention: RETENTION,
          dedupe: { key: dedupe(i), windowMs: 60_000 },
        }),
    },
    bare: {
      one: (i) => {
        const base = `bare:{c:${i % CHANNELS}}`;
        const message = messageOf(i);
        const keys = [`${base}:meta`, `${base}:log`, `${base}:bus`, `${base}:key:${dedupe(i)}`];
        const { messages, ageMs } = RETENTION;
        const about = ["epoch 0", "PUBLISH", JSON.stringify(message), message.data.length, message.time];
        return bare.call(keys, [...about, messages, ageMs, 0, ageMs, 60_000]);
      },
    },
  });
  out.disconnect();
  await close();
}

interface BareCall {
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  readonly done: () => void;
}

/** Calls of one turn in one pipeline, as anybody would write it; with a WAIT at its end, one pipeline after the other. */
class BareScripts {
  readonly #redis: Redis;
  readonly #script: Script;
  readonly #wait: boolean;
  #waiting: BareCall[] = [];
  #sending: Promise<void> = Promise.resolve();

  constructor(redis: Redis, script: Script, wait: boolean) {
    this.#redis = redis;
    this.#script = script;
    this.#wait = wait;
  }

  call(keys: readonly string[], args: readonly (string | number)[]): Promise<void> {
    return new Promise((done) => {
      if (this.#waiting.push({ keys, args, done }) > 1) return;
      queueMicrotask(() => {
        const calls = this.#waiting.splice(0);
        this.#sending = this.#wait ? this.#sending.then(() => this.#send(calls)) : this.#send(calls);
      });
    });
  }

  async #send(calls: readonly BareCall[]): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const { keys, args } of calls) pipeline.evalsha(this.#script.sha, keys.length, ...keys, ...args);
    if (this.#wait) pipeline.wait(1, 1000);
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
    for (const { done } of calls) done();
  }
}

/** Messages a second, with `UNDER_WAY` of them at once. */
async function perSecond({ one, arrived }: Way): Promise<number> {
  const begun = performance.now();
  const before = arrived?.() ?? 0;
  let count = 0;
  while (performance.now() - begun < ROUND_MS) {
    await Promise.all(Array.from({ length: UNDER_WAY }, () => one(sequence++)));
    count += UNDER_WAY;
  }
  if (arrived) await until(() => arrived() >= before + count);
  return (count * 1000) / (performance.now() - begun);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

let sequence = 0;

async function memory(): Promise<void> {
  const rows: string[][] = [];
  for (const node of ["4096", "512"]) {
    const { server, end } = await ownServer({ save: "", "stream-node-max-bytes": node });
    const url = `redis://127.0.0.1:${server.port}`;
    const { log, close } = await logOf({ type: "redis-streams", url, confirm: "memory" });
    const asking = new Redis(url);
    const used = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await asking.info("memory"))?.[1]);
    const cost = async (count: number, channelOf: (i: number) => string): Promise<string> => {
      const before = await used();
      for (let i = 0; i < count; i += 500)
        await Promise.all(
          Array.from({ length: 500 }, (_, j) =>
            log.append(channelOf(i + j), messageOf(i + j), { retention: RETENTION }),
          ),
        );
      return `${Math.round(((await used()) - before) / count)} B`;
    };
    await cost(1000, () => "warm");
    const channel = await cost(1000, (i) => `c:${i}`);
    const more = await cost(99_000, (i) => `c:${i % 1000}`);
    rows.push([`stream-node-max-bytes ${node}`, channel, more]);
    asking.disconnect();
    await close();
    await end();
  }
  printTable(["memory of Redis", "a channel with one message", "each of 99 more messages"], rows);
}

async function open(settings: object): Promise<Backbone> {
  const backbone = await backboneOf(settings);
  await backbone.open();
  return backbone;
}

async function logOf(settings: object): Promise<{ log: NonNullable<Backbone["log"]>; close: () => Promise<void> }> {
  const backbone = await open(settings);
  return { log: backbone.log ?? never(), close: () => backbone.close() };
}

function never(): never {
  throw new Error("the backbone lacks a facet");
}

function messageOf(i: number): Message {
  return { id: `bench-${i}`, time: Date.now(), data: JSON.stringify(dataOf(i)) };
}
