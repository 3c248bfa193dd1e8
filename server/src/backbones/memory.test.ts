import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { ManualClock } from "../manual-clock.ts";
import { conformance } from "./conformance.ts";
import { BackboneError, type Message } from "./contract.ts";
import { MemoryBackbone, MemoryStore } from "./memory.ts";

conformance("memory", async () => {
  const clock = new ManualClock(Date.now());
  let store = new MemoryStore(clock);
  return {
    open: async () => {
      const backbone = new MemoryBackbone({}, clock, store);
      await backbone.open();
      return backbone;
    },
    restart: async () => {
      store = new MemoryStore(clock);
    },
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    close: async () => {},
  };
});

describe("the memory backbone's limits", () => {
  const KEEP = { retention: {} };

  async function open(bytes?: number): Promise<{ backbone: MemoryBackbone; store: MemoryStore; clock: ManualClock }> {
    const clock = new ManualClock();
    const store = new MemoryStore(clock);
    const backbone = new MemoryBackbone(bytes === undefined ? {} : { bytes }, clock, store);
    await backbone.open();
    return { backbone, store, clock };
  }

  function message(clock: ManualClock, size: number): Message {
    return { id: "m", time: clock.now(), data: JSON.stringify("x".repeat(size)) };
  }

  test("beyond the cap, the channels that were written longest ago are emptied, and their offsets go on", async () => {
    const { backbone, store, clock } = await open(10_000);
    const { log } = backbone;
    for (const channel of ["old", "middle", "young"]) await log.append(channel, message(clock, 2500), KEEP);
    await log.append("old", message(clock, 10), KEEP);
    await log.append("young", message(clock, 2500), KEEP);
    const kept = async (channel: string): Promise<number> => (await log.read(channel, { limit: 10 })).messages.length;
    assert.deepEqual([await kept("old"), await kept("middle"), await kept("young")], [2, 0, 2]);
    assert.ok(store.bytes <= 10_000);
    const [middle] = await log.heads(["middle"]);
    assert.deepEqual([middle?.offset, middle?.trimmed], [1, 1]);
    assert.equal((await log.append("middle", message(clock, 1), KEEP)).offset, 2);
  });

  test("one channel beyond the cap loses its oldest, and keeps its newest whatever its size", async () => {
    const { backbone, clock } = await open(5000);
    for (let i = 0; i < 5; i++) await backbone.log.append("one", message(clock, 1000), KEEP);
    const { messages } = await backbone.log.read("one", { limit: 10 });
    assert.deepEqual(
      messages.map(({ offset }) => offset),
      [3, 4, 5],
    );
    await backbone.log.append("one", message(clock, 20_000), KEEP);
    assert.equal((await backbone.log.read("one", { limit: 10 })).messages.length, 1);
  });

  test("messages without much data count as well", async () => {
    const { backbone, store, clock } = await open(100_000);
    for (let i = 0; i < 10_000; i++) await backbone.log.append(`tiny:${i}`, message(clock, 0), KEEP);
    assert.ok(store.filled.size < 500, `${store.filled.size} messages of two bytes were kept`);
  });

  test("what eviction costs does not depend on how many emptied channels there are", async () => {
    const { backbone, store, clock } = await open(2000);
    for (let i = 0; i < 5000; i++) await backbone.log.append(`channel:${i}`, message(clock, 100), KEEP);
    assert.ok(store.channels.size === 5000 && store.filled.size < 10);
  });

  test("keys of channels that nobody writes to any more are forgotten", async () => {
    const { backbone, store, clock } = await open();
    const dedupe = { retention: {}, dedupe: { key: "k", windowMs: 1000 } };
    for (let i = 0; i < 100; i++) await backbone.log.append(`channel:${i}`, message(clock, 1), dedupe);
    assert.equal(store.keyed.size, 100);
    await clock.advance(1001);
    for (let i = 0; i < 60; i++) await backbone.log.append("other", message(clock, 1), dedupe);
    assert.deepEqual([...store.keyed], [store.channels.get("other")]);
    assert.equal(store.channels.get("channel:0")?.keys.size, 0);
  });

  test("jobs and dead letters count, are never dropped, and beyond the cap no further job is taken", async () => {
    const { backbone, store, clock } = await open(10_000);
    const { log, queue } = backbone;
    const redelivery = { maxAttempts: 1, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };
    const lease = async (): Promise<string> => {
      const { leases } = await queue.lease("jobs", "g", { limit: 1, leaseMs: 1000, redelivery });
      return leases[0]?.lease ?? "";
    };
    const full = (error: unknown): boolean =>
      error instanceof BackboneError && error.reason === "full" && /\d+ of the 10000 bytes/.test(error.message);
    await log.append("channel", message(clock, 3000), KEEP);
    const dedupe = { key: "k", windowMs: 60_000 };
    await queue.enqueue("jobs", message(clock, 4000), { dedupe });
    assert.equal((await log.read("channel", { limit: 1 })).messages.length, 1);
    await queue.enqueue("jobs", message(clock, 4000), {});
    assert.equal((await log.read("channel", { limit: 1 })).messages.length, 0, "a channel made room");
    assert.ok(store.bytes + store.queues.bytes <= 10_000);

    await assert.rejects(
      queue.enqueue("jobs", message(clock, 2000), { dedupe: { key: "late", windowMs: 60_000 } }),
      full,
    );
    assert.deepEqual(await queue.enqueue("jobs", message(clock, 4000), { dedupe }), { duplicate: true });
    await log.append("channel", message(clock, 3000), KEEP);
    assert.equal((await queue.info("jobs")).jobs, 2, "messages of channels push no job out");

    const held = await lease();
    const job = { queue: "next", message: message(clock, 3000), options: {} };
    assert.equal(await queue.done("jobs", "g", held, [job]), "done", "the job's end makes room for its result");
    const other = await lease();
    const two = [job, job].map((result) => ({ ...result, message: message(clock, 4000) }));
    await assert.rejects(queue.done("jobs", "g", other, two), full);
    assert.equal(await queue.fail("jobs", "g", other, { redelivery }), "dead");
    await assert.rejects(queue.enqueue("jobs", message(clock, 4000), {}), full, "the dead letter counts");
    const dead = (await queue.dead.list("jobs", { limit: 1 })).map(({ id }) => id);
    assert.equal(await queue.dead.purge("jobs", dead), 1);
    const late = await queue.enqueue("jobs", message(clock, 2000), { dedupe: { key: "late", windowMs: 60_000 } });
    assert.deepEqual(late, { duplicate: false }, "what was refused is not remembered");
  });

  test("accounts for every byte, whatever is appended, removed, trimmed and evicted", async () => {
    const step = fc.record({
      channel: fc.constantFrom("a", "b", "c"),
      size: fc.nat(2000),
      remove: fc.boolean(),
      messages: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { backbone, store, clock } = await open(6000);
        for (const { channel, size, remove, messages } of steps) {
          if (remove) await backbone.log.remove(channel);
          else await backbone.log.append(channel, message(clock, size), { retention: { messages } });
        }
        let bytes = 0;
        for (const [name, channel] of store.channels) {
          const { messages, head, trimmed } = await backbone.log.read(name, { limit: 100 });
          assert.equal(messages.length, head - trimmed);
          assert.equal(store.filled.has(channel), messages.length > 0);
          bytes += messages.reduce((sum, { data }) => sum + data.length + 256, 0);
        }
        assert.equal(store.bytes, bytes);
      }),
      { numRuns: 200 },
    );
  });
});
