/** The obligations of the contract's queue, one named test each; `conformance` runs them for every backbone that has one. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { ConformanceHarness } from "./conformance.ts";
import type {
  Backbone,
  EnqueueOptions,
  Failure,
  GroupInfo,
  HandOut,
  Lease,
  LeaseOptions,
  Message,
  Queue,
  Redelivery,
} from "./contract.ts";

/** What the suite stands on at the moment: a restart replaces the instances. */
export interface Instances {
  readonly harness: ConformanceHarness;
  readonly one: Backbone;
  readonly other: Backbone;
  /** Restarts the store and opens new instances. */
  restart(): Promise<void>;
}

/** Longest time that a test waits for something that must happen. */
const PATIENCE_MS = 10_000;
/** Where the store's clock cannot be moved, leases and delays of the tests last so long and are waited for. */
const SHORT_MS = 300;
const MINUTE_MS = 60_000;
const AT_ONCE: Redelivery = { maxAttempts: 3, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };

/** Registers the queue's rules. `instances` is asked at the beginning of each test. */
export function queueConformance(name: string, instances: () => Instances): void {
  describe("as a queue", () => {
    let absent: string | false = false;
    before(() => {
      absent = instances().one.queue ? false : `${name} has no queue`;
    });
    for (const { title, run } of QUEUE_RULES) {
      test(title, async (context) => {
        if (absent !== false) {
          context.skip(absent);
          return;
        }
        const { harness, one, other } = instances();
        await run(new QueueCase(harness, one, other));
      });
    }
    test("jobs, leases, delays, keys and dead letters outlive a restart of the store", async (context) => {
      const before = instances();
      if (absent !== false || !before.one.capabilities.durable) {
        context.skip(`${name} keeps no jobs over a restart`);
        return;
      }
      const at = new QueueCase(before.harness, before.one, before.other);
      await at.enqueue("held", { dedupe: { key: "k", windowMs: MINUTE_MS } });
      await at.enqueue("ready");
      const [held] = await at.lease({ limit: 1 });
      await before.restart();
      const { harness, one, other } = instances();
      const again = new QueueCase(harness, one, other, at.name);
      assert.deepEqual(await again.enqueue("held", { dedupe: { key: "k", windowMs: MINUTE_MS } }), { duplicate: true });
      assert.deepEqual(texts(await again.lease()), ["ready"]);
      assert.equal(await again.queue.done(again.name, "g", present(held).lease), "done");
    });
  });
}

/** A queue of its own on two instances, and short ways to say things. */
class QueueCase {
  readonly name: string;
  readonly queue: Queue;
  readonly otherQueue: Queue;
  readonly one: Backbone;
  readonly #harness: ConformanceHarness;
  #count = 0;

  constructor(harness: ConformanceHarness, one: Backbone, other: Backbone, name = `jobs:${crypto.randomUUID()}`) {
    this.#harness = harness;
    this.one = one;
    this.queue = present(one.queue);
    this.otherQueue = present(other.queue);
    this.name = name;
  }

  message(text: string): Message {
    return { id: `${this.name}-${this.#count++}`, time: this.now(), data: JSON.stringify(text) };
  }

  enqueue(text: string, options: EnqueueOptions = {}): ReturnType<Queue["enqueue"]> {
    return this.queue.enqueue(this.name, this.message(text), options);
  }

  handOut(options: Partial<LeaseOptions> = {}, group = "g"): Promise<HandOut> {
    return this.queue.lease(this.name, group, { limit: 10, leaseMs: MINUTE_MS, redelivery: AT_ONCE, ...options });
  }

  async lease(options: Partial<LeaseOptions> = {}, group = "g"): Promise<readonly Lease[]> {
    return (await this.handOut(options, group)).leases;
  }

  /** Leases one job, waiting for it to become available. */
  async leaseOne(options: Partial<LeaseOptions> = {}, group = "g"): Promise<Lease> {
    return eventually(
      async () => (await this.lease({ limit: 1, ...options }, group))[0],
      () => this.pass(1),
    );
  }

  fail(lease: string, failure: Partial<Failure> = {}, group = "g"): ReturnType<Queue["fail"]> {
    return this.queue.fail(this.name, group, lease, { redelivery: AT_ONCE, ...failure });
  }

  /** Lets the store's clock go on: at once where it can be moved, else by waiting. */
  async pass(ms: number): Promise<void> {
    if (this.#harness.advance) await this.#harness.advance(ms);
    else await new Promise((resolve) => setTimeout(resolve, ms));
  }

  now(): number {
    return this.#harness.now?.() ?? Date.now();
  }

  async group(name = "g"): Promise<GroupInfo | undefined> {
    return (await this.queue.info(this.name)).groups.find(({ group }) => group === name);
  }

  /** Counts of the group: ready, leased, delayed, dead. */
  async counts(name = "g"): Promise<readonly (number | undefined)[]> {
    const info = await this.group(name);
    return [info?.ready, info?.leased, info?.delayed, info?.dead];
  }

  /** Fails a job until it is given up. */
  async kill(text: string): Promise<void> {
    await this.enqueue(text);
    for (let attempt = 1; attempt <= AT_ONCE.maxAttempts; attempt++) {
      await this.fail((await this.leaseOne()).lease, { reason: `${text} ${attempt}` });
    }
  }
}

interface QueueRule {
  readonly title: string;
  readonly run: (at: QueueCase) => Promise<void>;
}

const QUEUE_RULES: readonly QueueRule[] = [
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
    title: "a lease that nobody renewed counts as ready, though nobody has asked since",
    run: async (at) => {
      await at.enqueue("1");
      await at.lease({ leaseMs: SHORT_MS });
      await at.pass(SHORT_MS + 1);
      assert.deepEqual(await at.counts(), [1, 0, 0, 0]);
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

function texts(leases: readonly Lease[]): string[] {
  return leases.map(({ job }) => JSON.parse(job.data) as string);
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("there is none");
  return value;
}

/** Asks again until there is an answer, letting some time pass in between. */
async function eventually<T>(
  ask: () => Promise<T | undefined>,
  pass: () => Promise<void> = () => new Promise((resolve) => setTimeout(resolve, 5)),
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new assert.AssertionError({ message: `did not happen within ${PATIENCE_MS} ms` });
    await pass();
  }
}
