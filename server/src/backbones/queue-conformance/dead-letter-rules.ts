/** What the contract says of jobs that are given up. */
import assert from "node:assert/strict";
import { AT_ONCE, present, SHORT_MS, type QueueRule } from "./queue-case.ts";

export const DEAD_LETTER_RULES: readonly QueueRule[] = [
  {
    title: "after the last attempt a job is a dead letter, with why, and is handed out no more",
    run: async (at) => {
      await at.kill("bad");
      assert.deepEqual(await at.lease(), []);
      const [letter, ...more] = await at.queue.dead.list(at.name, { limit: 10 });
      assert.equal(more.length, 0);
      assert.deepEqual([letter?.group, letter?.job.data, letter?.attempts, letter?.reason], ["g", '"bad"', 3, "bad 3"]);
      assert.deepEqual(await at.counts(), [0, 0, 0, 1]);
      assert.equal((await at.queue.info(at.name)).jobs, 0);
    },
  },
  {
    title: "a last attempt whose lease expires ends as a dead letter as well",
    run: async (at) => {
      const redelivery = { ...AT_ONCE, maxAttempts: 1 };
      await at.enqueue("1");
      await at.leaseOne({ leaseMs: SHORT_MS, redelivery });
      await at.pass(SHORT_MS + 1);
      assert.deepEqual(await at.lease({ redelivery }), []);
      const [letter] = await at.queue.dead.list(at.name, { limit: 10 });
      assert.deepEqual([letter?.job.data, letter?.attempts], ['"1"', 1]);
    },
  },
  {
    title: "without dead letters a job that is given up is forgotten",
    run: async (at) => {
      const redelivery = { ...AT_ONCE, maxAttempts: 1, deadLetters: false };
      await at.enqueue("1");
      assert.equal(await at.fail((await at.leaseOne({ redelivery })).lease, { redelivery }), "dead");
      assert.deepEqual(await at.queue.dead.list(at.name, { limit: 10 }), []);
      assert.equal((await at.queue.info(at.name)).jobs, 0);
    },
  },
  {
    title: "dead letters are listed in pages, shown, replayed as new, and purged",
    run: async (at) => {
      for (const text of ["a", "b", "c"]) await at.kill(text);
      const [first] = await at.queue.dead.list(at.name, { limit: 1 });
      const rest = await at.queue.dead.list(at.name, { limit: 10, after: present(first).id });
      assert.deepEqual(
        rest.map(({ job }) => job.data),
        ['"b"', '"c"'],
      );
      const shown = await at.queue.dead.get(at.name, [present(rest[1]).id, "none", present(first).id]);
      assert.deepEqual(
        shown.map(({ job }) => job.data),
        ['"c"', '"a"'],
      );
      assert.equal(await at.otherQueue.dead.replay(at.name, [present(first).id, "none"]), 1);
      const again = await at.leaseOne();
      assert.deepEqual([again.job.data, again.attempt], ['"a"', 1]);
      await at.queue.done(at.name, "g", again.lease);
      assert.equal(
        await at.queue.dead.purge(
          at.name,
          rest.map(({ id }) => id),
        ),
        2,
      );
      assert.deepEqual(await at.queue.dead.list(at.name, { limit: 10 }), []);
      assert.deepEqual(await at.counts(), [0, 0, 0, 0]);
      assert.equal((await at.queue.info(at.name)).jobs, 0);
    },
  },
  {
    title: "a dead letter of one group is none of another's, and is replayed to its own",
    run: async (at) => {
      await at.enqueue("1");
      const redelivery = { ...AT_ONCE, maxAttempts: 1 };
      const [b] = await at.lease({}, "b");
      await at.fail((await at.leaseOne({ redelivery }, "a")).lease, { redelivery }, "a");
      await at.queue.done(at.name, "b", present(b).lease);
      const [letter] = await at.queue.dead.list(at.name, { limit: 10 });
      await at.queue.dead.replay(at.name, [present(letter).id]);
      assert.deepEqual(await at.lease({}, "b"), []);
      assert.equal((await at.leaseOne({}, "a")).job.data, '"1"');
    },
  },
];
