/** What the contract says of the groups that a queue has. */
import assert from "node:assert/strict";
import { MINUTE_MS, present, texts, type QueueRule } from "./queue-case.ts";

export const GROUP_RULES: readonly QueueRule[] = [
  {
    title: "each group gets every job, also one that appears later, as long as the job is kept",
    run: async (at) => {
      await at.enqueue("1");
      const [first] = await at.lease({}, "a");
      await at.enqueue("2");
      assert.deepEqual(texts(await at.lease({}, "b")), ["1", "2"]);
      await at.queue.done(at.name, "a", present(first).lease);
      assert.equal((await at.queue.info(at.name)).jobs, 2);
      assert.deepEqual(texts(await at.lease({}, "late")), ["1", "2"]);
      assert.deepEqual(texts(await at.lease({}, "a")), ["2"]);
    },
  },
  {
    title: "a job goes when the last group has done it",
    run: async (at) => {
      await at.enqueue("1");
      const [a] = await at.lease({}, "a");
      const [b] = await at.lease({}, "b");
      await at.queue.done(at.name, "a", present(a).lease);
      assert.equal((await at.queue.info(at.name)).jobs, 1);
      await at.queue.done(at.name, "b", present(b).lease);
      assert.equal((await at.queue.info(at.name)).jobs, 0);
    },
  },
  {
    title: "a lease of one group says nothing in another",
    run: async (at) => {
      await at.enqueue("1");
      const [a] = await at.lease({}, "a");
      await at.lease({}, "b");
      assert.equal(await at.queue.done(at.name, "b", present(a).lease), "fenced");
      assert.equal(await at.queue.done(at.name, "a", present(a).lease), "done");
    },
  },
  {
    title: "counts what is ready, leased and delayed per group, and the oldest job's time",
    run: async (at) => {
      assert.deepEqual(await at.queue.info(at.name), { paused: false, jobs: 0, groups: [] });
      const oldest = at.message("0");
      await at.queue.enqueue(at.name, oldest, {});
      for (let i = 1; i < 6; i++) await at.enqueue(`${i}`);
      const [, second] = await at.lease({ limit: 3 });
      await at.fail(present(second).lease, { retryInMs: MINUTE_MS });
      assert.deepEqual(await at.counts(), [3, 2, 1, 0]);
      const { oldestTime } = present(await at.group());
      assert.equal(oldestTime, oldest.time);
      await at.lease({ limit: 1 }, "late");
      assert.deepEqual(await at.counts("late"), [5, 1, 0, 0]);
    },
  },
  {
    title: "a forgotten group holds nothing back",
    run: async (at) => {
      await at.enqueue("1");
      await at.lease({}, "gone");
      const [a] = await at.lease({}, "a");
      await at.queue.done(at.name, "a", present(a).lease);
      assert.equal((await at.queue.info(at.name)).jobs, 1);
      await at.queue.forget(at.name, "gone");
      assert.deepEqual(
        (await at.queue.info(at.name)).groups.map(({ group }) => group),
        ["a"],
      );
      assert.equal((await at.queue.info(at.name)).jobs, 0);
    },
  },
  {
    title: "groups may have any name",
    run: async (at) => {
      await at.enqueue("1");
      for (const group of ["__proto__", "ü:{}*,\u2028", "x".repeat(128), "a", "a:b"]) {
        const [lease] = await at.lease({}, group);
        assert.equal(lease?.job.data, '"1"', group);
      }
    },
  },
];
