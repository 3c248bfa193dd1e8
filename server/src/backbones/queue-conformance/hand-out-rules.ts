/** What the contract says of jobs that are stored and handed out. */
import assert from "node:assert/strict";
import type { Message } from "../contract.ts";
import { AT_ONCE, eventually, MINUTE_MS, present, SHORT_MS, texts, type QueueRule } from "./queue-case.ts";

export const HAND_OUT_RULES: readonly QueueRule[] = [
  {
    title: "a job is handed out unaltered, once, and is gone when it is done",
    run: async (at) => {
      const job: Message = {
        ...at.message('ünï\u2028 "quoted"'),
        info: { user: "ann", client: "c" },
        tags: { a: "b" },
      };
      await at.queue.enqueue(at.name, job, {});
      const [lease, ...more] = await at.lease();
      assert.deepEqual([lease?.job, lease?.attempt, more.length], [job, 1, 0]);
      assert.deepEqual(await at.lease(), []);
      assert.equal(await at.queue.done(at.name, "g", present(lease).lease), "done");
      assert.equal((await at.queue.info(at.name)).jobs, 0);
      assert.deepEqual(await at.lease(), []);
    },
  },
  {
    title: "an empty queue hands out nothing and knows of nothing to come",
    run: async (at) => {
      assert.deepEqual(await at.handOut(), { leases: [] });
    },
  },
  {
    title: "jobs are handed out in the order in which they were enqueued, at most as many as asked for",
    run: async (at) => {
      for (let i = 0; i < 7; i++) await at.enqueue(`${i}`);
      assert.deepEqual(texts(await at.lease({ limit: 3 })), ["0", "1", "2"]);
      assert.deepEqual(texts(await at.lease({ limit: 10 })), ["3", "4", "5", "6"]);
    },
  },
  {
    title: "concurrent leases through several instances share the jobs, and nobody gets one that another has",
    run: async (at) => {
      const names = Array.from({ length: 60 }, (_, i) => `${i}`);
      await Promise.all(names.map((text) => at.enqueue(text)));
      const options = { limit: 4, leaseMs: MINUTE_MS, redelivery: AT_ONCE };
      const handed = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? at.queue : at.otherQueue).lease(at.name, "g", options)),
      );
      const got = handed.flatMap(({ leases }) => texts(leases));
      assert.equal(new Set(got).size, names.length);
      assert.equal(got.length, names.length);
    },
  },
  {
    title: "a key within its window stores one job, also when both come at once through two instances",
    run: async (at) => {
      const dedupe = { dedupe: { key: "k", windowMs: MINUTE_MS } };
      const outcomes = await Promise.all([
        at.enqueue("1", dedupe),
        at.otherQueue.enqueue(at.name, at.message("1"), dedupe),
      ]);
      assert.equal(outcomes.filter(({ duplicate }) => duplicate).length, 1);
      const [lease] = await at.lease();
      await at.queue.done(at.name, "g", present(lease).lease);
      // Done jobs are remembered as well.
      assert.deepEqual(await at.enqueue("1", dedupe), { duplicate: true });
      assert.deepEqual(await at.lease(), []);
    },
  },
  {
    title: "a job is held back until its time",
    run: async (at) => {
      if (at.one.capabilities.queue?.deliverAt !== true) return;
      await at.enqueue("later", { deliverAt: at.now() + 3 * SHORT_MS });
      await at.enqueue("now");
      const { leases, nextInMs = 0 } = await at.handOut();
      assert.deepEqual(texts(leases), ["now"]);
      assert.ok(nextInMs > 0, `in ${nextInMs} ms`);
      assert.deepEqual(await at.counts(), [0, 1, 1, 0]);
      await at.pass(3 * SHORT_MS + nextInMs);
      assert.equal((await at.leaseOne()).job.data, '"later"');
    },
  },
  {
    title: "an expired job is handed out no more and takes no space once it was looked at",
    run: async (at) => {
      if (at.one.capabilities.queue?.ttl !== true) return;
      await at.enqueue("old", { expiresAt: 1 });
      await at.enqueue("young", { expiresAt: at.now() + 10 * MINUTE_MS });
      assert.deepEqual(texts(await at.lease()), ["young"]);
      assert.equal((await at.queue.info(at.name)).jobs, 1);
    },
  },
  {
    title: "a paused queue takes jobs and outcomes, and hands out nothing until it goes on",
    run: async (at) => {
      await at.enqueue("1");
      const held = await at.leaseOne();
      await at.queue.pause(at.name, true);
      await at.enqueue("2");
      assert.deepEqual(await at.lease(), []);
      assert.equal((await at.queue.info(at.name)).paused, true);
      assert.equal(await at.queue.done(at.name, "g", held.lease), "done");
      await at.otherQueue.pause(at.name, false);
      assert.deepEqual(texts(await at.lease()), ["2"]);
    },
  },
  {
    title:
      "who watches hears of jobs for who was handed too few, of jobs given back and of the end of a pause, on every instance",
    run: async (at) => {
      let heard = 0;
      const stop = await at.otherQueue.watch(at.name, () => heard++);
      const hears = async (what: string, cause: () => Promise<unknown>): Promise<void> => {
        const before = heard;
        await eventually(async () => {
          await cause();
          return heard > before ? true : undefined;
        });
        assert.ok(heard > before, what);
      };
      await hears("a job", async () => {
        await at.handOut();
        await at.enqueue("1");
      });
      await hears("given back", async () => at.fail((await at.leaseOne()).lease, { untried: true }));
      await hears("unpaused", () => at.queue.pause(at.name, false));
      await stop();
      await stop();
      const before = heard;
      await at.enqueue("2");
      await at.handOut();
      assert.equal(heard, before);
    },
  },
];
