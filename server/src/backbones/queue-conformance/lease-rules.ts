/** What the contract says of leases, and of how they end. */
import assert from "node:assert/strict";
import type { Queue } from "../contract.ts";
import { AT_ONCE, MINUTE_MS, present, SHORT_MS, texts, type QueueRule } from "./queue-case.ts";

export const LEASE_RULES: readonly QueueRule[] = [
  {
    title: "a failed job comes again after its delay, which grows, and counts its attempts",
    run: async (at) => {
      const redelivery = { ...AT_ONCE, backoff: { firstMs: SHORT_MS, lastMs: MINUTE_MS } };
      await at.enqueue("1");
      const first = await at.leaseOne({ redelivery });
      assert.equal(await at.fail(first.lease, { redelivery }), "again");
      const { leases, nextInMs = 0 } = await at.handOut({ redelivery });
      assert.deepEqual(leases, []);
      assert.ok(nextInMs > 0 && nextInMs <= SHORT_MS, `in ${nextInMs} ms`);
      await at.pass(SHORT_MS);
      const second = await at.leaseOne({ redelivery });
      assert.equal(second.attempt, 2);
      assert.notEqual(second.lease, first.lease);
      await at.fail(second.lease, { redelivery });
      const doubled = (await at.handOut({ redelivery })).nextInMs ?? 0;
      assert.ok(doubled > SHORT_MS && doubled <= 2 * SHORT_MS, `in ${doubled} ms`);
    },
  },
  {
    title: "who fails a job may say when it comes again",
    run: async (at) => {
      await at.enqueue("1");
      await at.fail((await at.leaseOne()).lease, { retryInMs: MINUTE_MS });
      const { nextInMs = 0 } = await at.handOut();
      assert.ok(nextInMs > MINUTE_MS / 2 && nextInMs <= MINUTE_MS);
    },
  },
  {
    title: "a job that is given back untried is available at once, and its attempt does not count",
    run: async (at) => {
      await at.enqueue("1");
      await at.fail((await at.leaseOne()).lease, { untried: true, redelivery: { ...AT_ONCE, maxAttempts: 1 } });
      assert.equal((await at.leaseOne()).attempt, 1);
    },
  },
  {
    title: "a lease that expires fences its holder off and counts as an attempt",
    run: async (at) => {
      await at.enqueue("1");
      const first = await at.leaseOne({ leaseMs: SHORT_MS });
      await at.pass(SHORT_MS + 1);
      assert.equal(await at.queue.done(at.name, "g", first.lease), "fenced");
      assert.equal(await at.fail(first.lease), "fenced");
      assert.equal(await at.queue.extend(at.name, "g", first.lease, MINUTE_MS), "fenced");
      const second = await at.leaseOne();
      assert.equal(second.attempt, 2);
      assert.equal(await at.otherQueue.done(at.name, "g", first.lease), "fenced");
      assert.equal(await at.queue.done(at.name, "g", second.lease), "done");
    },
  },
  {
    title: "an outcome is told once: afterwards its lease is fenced, as are leases that never were",
    run: async (at) => {
      await at.enqueue("1");
      await at.enqueue("2");
      const [first, second] = await at.lease();
      assert.equal(await at.queue.done(at.name, "g", present(first).lease), "done");
      assert.equal(await at.queue.done(at.name, "g", present(first).lease), "fenced");
      assert.equal(await at.fail(present(second).lease, { retryInMs: MINUTE_MS }), "again");
      assert.equal(await at.fail(present(second).lease), "fenced");
      for (const lease of ["", "-", "1-", "x", "1-1", "9".repeat(40)]) {
        assert.equal(await at.queue.done(at.name, "g", lease), "fenced");
      }
    },
  },
  {
    title: "a lease can be asked for as it was handed out, while it is held",
    run: async (at) => {
      await at.enqueue("1");
      const lease = await at.leaseOne();
      assert.deepEqual(await at.otherQueue.held(at.name, "g", lease.lease), lease);
      assert.equal(await at.queue.held(at.name, "other", lease.lease), undefined);
      await at.queue.done(at.name, "g", lease.lease);
      assert.equal(await at.queue.held(at.name, "g", lease.lease), undefined);
    },
  },
  {
    title: "an extended lease lasts from then on, and may be cut short",
    run: async (at) => {
      await at.enqueue("1");
      const held = await at.leaseOne({ leaseMs: SHORT_MS });
      assert.equal(await at.otherQueue.extend(at.name, "g", held.lease, MINUTE_MS), "done");
      await at.pass(SHORT_MS + 1);
      assert.deepEqual(await at.lease(), []);
      assert.equal(await at.queue.extend(at.name, "g", held.lease, SHORT_MS), "done");
      await at.pass(SHORT_MS + 1);
      assert.equal((await at.leaseOne()).attempt, 2);
    },
  },
  {
    title: "a lease that nobody renewed counts as ready, though nobody has asked since",
    run: async (at) => {
      await at.enqueue("1");
      await at.lease({ leaseMs: SHORT_MS });
      await at.pass(SHORT_MS + 1);
      assert.deepEqual(await at.counts(), [1, 0, 0, 0]);
    },
  },
  {
    title: "results are stored with the end of the job, all or nothing, in logs and in queues",
    run: async (at) => {
      const { log } = at.one;
      if (at.one.capabilities.queue?.results !== true || !log) return;
      const channel = `results:${at.name}`;
      const results = (text: string): Parameters<Queue["done"]>[3] => [
        { channel, message: at.message(text), options: { retention: {} } },
        { queue: at.name, message: at.message(text), options: {} },
      ];
      await at.enqueue("1");
      const held = await at.leaseOne();
      assert.equal(await at.queue.done(at.name, "g", "1-other", results("zombie")), "fenced");
      assert.deepEqual((await log.read(channel, { limit: 10 })).messages, []);
      assert.equal(await at.queue.done(at.name, "g", held.lease, results("result")), "done");
      const stored = await log.read(channel, { limit: 10 });
      assert.deepEqual(
        stored.messages.map(({ data }) => data),
        ['"result"'],
      );
      assert.deepEqual(texts(await at.lease()), ["result"]);
      assert.deepEqual(await at.counts(), [0, 1, 0, 0]);
    },
  },
];
