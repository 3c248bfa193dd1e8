/**
 * Resuming costs the same in a channel of a thousand messages and of a million: what a read touches depends on what it answers, not
 * on how much is kept. Ratios with a wide margin: something that looked through the channel would be a thousand times dearer.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { Redis } from "ioredis";
import { needBroker } from "../../../scripts/brokers/need.ts";
import { systemClock } from "../clock.ts";
import type { Log } from "./contract.ts";
import { readRange } from "./embedded/rows.ts";
import { Store } from "./embedded/store.ts";
import { MemoryBackbone } from "./memory.ts";
import { backboneOf, ownServer } from "./redis/test-redis.ts";

const SHORT = 1000;
const LONG = 1_000_000;
const MISSED = 100;
/** Timings of two equal things differ by this much on a busy machine, and by a thousandth of what a search would make of it. */
const MOST_RATIO = 10;
const TIMES = 200;
const data = JSON.stringify("x".repeat(20));

/** How much dearer a read in the long channel is: of both the least of many, taken in turn. */
async function ratio(read: (length: number) => unknown): Promise<number> {
  const least = new Map([SHORT, LONG].map((length) => [length, Number.POSITIVE_INFINITY]));
  for (let i = 0; i < TIMES; i++) {
    for (const [length, before] of least) {
      const begun = process.hrtime.bigint();
      await read(length);
      least.set(length, Math.min(before, Number(process.hrtime.bigint() - begun)));
    }
  }
  return (least.get(LONG) ?? 0) / (least.get(SHORT) ?? 1);
}

/** The positions that clients come back with: just behind the head, in the middle, near the beginning. */
const PLACES: readonly (readonly [name: string, after: (length: number) => number])[] = [
  ["just behind the head", (length) => length - MISSED],
  ["in the middle", (length) => length / 2],
  ["near the beginning", () => 5],
];

describe("resuming does not depend on how much the channel keeps", () => {
  describe("memory", async () => {
    const backbone = new MemoryBackbone({ bytes: 1e9 }, systemClock);
    await backbone.open();
    for (const length of [SHORT, LONG]) {
      for (let i = 0; i < length; i++) {
        await backbone.log.append(nameOf(length), { id: String(i), time: 0, data }, { retention: {} });
      }
    }
    everywhere((afterOf) =>
      ratio(async (length) => check(await read(backbone.log, length, afterOf(length)), length, afterOf)),
    );
  });

  describe("embedded", async () => {
    const store = await filledStore();
    everywhere((afterOf) =>
      ratio((length) => {
        const range = readRange(store, nameOf(length), { after: afterOf(length), limit: MISSED });
        check(range, length, afterOf);
      }),
    );
  });

  describe("redis-streams", async () => {
    const { skip } = await needBroker("redis");
    test("as the server counts its own time", { skip, timeout: 120_000 }, async (t) => {
      const { server, end } = await ownServer({ save: "" });
      t.after(end);
      const url = `redis://127.0.0.1:${server.port}`;
      const backbone = await backboneOf({ type: "redis-streams", url, confirm: "memory" });
      await backbone.open();
      t.after(() => backbone.close());
      const { log } = backbone;
      assert.ok(log);
      const redis = new Redis(url);
      t.after(() => redis.disconnect());
      for (const length of [SHORT, LONG]) await fillStream(redis, log, length);
      for (const [name, afterOf] of PLACES) {
        const micros = new Map<number, number>();
        for (const length of [SHORT, LONG]) {
          await redis.config("RESETSTAT");
          for (let i = 0; i < TIMES; i++) check(await read(log, length, afterOf(length)), length, afterOf);
          const [, usec = "0"] = /cmdstat_xrange:calls=\d+,usec=(\d+)/.exec(await redis.info("commandstats")) ?? [];
          micros.set(length, Number(usec));
        }
        const times = (micros.get(LONG) ?? 0) / Math.max(1, micros.get(SHORT) ?? 1);
        t.diagnostic(`${name}: ${times.toFixed(2)} times as dear`);
        assert.ok(times < MOST_RATIO, `${name}: ${times} times as dear`);
      }
    });
  });
});

function everywhere(measure: (afterOf: (length: number) => number) => Promise<number>): void {
  for (const [name, afterOf] of PLACES) {
    test(name, { timeout: 120_000 }, async (t) => {
      const times = await measure(afterOf);
      t.diagnostic(`${times.toFixed(2)} times as dear`);
      assert.ok(times < MOST_RATIO, `a read ${name} is ${times} times as dear`);
    });
  }
}

function nameOf(length: number): string {
  return `kept:${length}`;
}

async function read(log: Log, length: number, after: number): ReturnType<Log["read"]> {
  return log.read(nameOf(length), { after, limit: MISSED });
}

function check(
  { messages, head }: { readonly messages: readonly { readonly offset: number }[]; readonly head: number },
  length: number,
  afterOf: (length: number) => number,
): void {
  assert.equal(head, length);
  assert.equal(messages.length, MISSED);
  assert.equal(messages[0]?.offset, afterOf(length) + 1);
}

/** The rows as appends leave them. */
async function filledStore(): Promise<Store> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-long-"));
  const store = await Store.open("local", folder, () => "epoch");
  after(async () => {
    await store.root.close();
    await rm(folder, { recursive: true });
  });
  store.transactionSync(() => {
    for (const length of [SHORT, LONG]) {
      const channel = nameOf(length);
      for (let offset = 1; offset <= length; offset++) {
        store.messages.putSync([channel, offset], [String(offset), 0, data]);
      }
      const bytes = length * data.length;
      store.channels.put(channel, { head: length, trimmed: 0, bytes, due: 0, retention: {} });
    }
  });
  return store;
}

/** One message as an append leaves it, and the others as copies of it. */
async function fillStream(redis: Redis, log: Log, length: number): Promise<void> {
  const channel = nameOf(length);
  await log.append(channel, { id: "1", time: Date.now(), data }, { retention: {} });
  const [key = ""] = (await redis.keys("*")).filter((name) => name.includes(channel) && name.endsWith(":log"));
  assert.notEqual(key, "");
  await redis.eval(
    `local e = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2]
     for i = 2, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], i .. '-0', unpack(e)) end
     redis.call('HSET', KEYS[2], 'head', ARGV[1], 'announced', ARGV[1])`,
    2,
    key,
    key.replace(/log$/, "meta"),
    length,
  );
}
