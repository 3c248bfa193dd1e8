/** The methods for queues against a real server. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { RunningApi } from "./running-api.ts";

type Client = Awaited<ReturnType<RunningApi["connect"]>>;

interface PushedJob {
  readonly data: unknown;
  readonly lease: string;
  readonly group: string;
}

/** The client's `count`th job. */
async function jobOf(client: Client, count = 1): Promise<PushedJob> {
  const jobs = (): PushedJob[] =>
    client.received.flatMap(({ push }) => (push !== undefined && "job" in push ? [push.job as PushedJob] : []));
  await client.until(() => jobs().length >= count);
  const job = jobs()[count - 1];
  assert.ok(job);
  return job;
}

describe("the methods for queues", () => {
  let api: RunningApi;
  before(async () => (api = await RunningApi.start()));
  after(() => api.close());

  /** Jobs that were given up, each with its own number as data. */
  async function dead(queue: string, numbers: readonly number[]): Promise<void> {
    const client = await api.connect("ann");
    await client.ask({ consume: { queue } });
    for (const [i, data] of numbers.entries()) {
      await api.result("publish", { channel: queue, data, tags: { k: "v" } });
      const { lease } = await jobOf(client, i + 1);
      const { fail } = await client.ask({ fail: { queue, lease, reason: `bad ${data}` } });
      assert.deepEqual(fail, { dead: true });
    }
    await client.ask({ unconsume: { queue } });
  }

  test("publish enqueues, once per key, and queue_info counts", async () => {
    const publish = { channel: "jobs:info", data: 1, idempotency_key: "k" };
    assert.deepEqual(await api.result("publish", publish), {});
    assert.deepEqual(await api.result("publish", publish), { duplicate: true });
    await api.result("publish", { channel: "jobs:info", data: 2, deliver_at: Date.now() + 60_000 });
    assert.deepEqual(await api.result("queue_info", { queue: "jobs:info" }), { paused: false, jobs: 2, groups: [] });
    const client = await api.connect("ann");
    await client.ask({ consume: { queue: "jobs:info", group: "g", in_flight: 5 } });
    await jobOf(client);
    const { groups } = await api.result("queue_info", { queue: "jobs:info" });
    const [{ oldest_age_ms: age, ...counts }] = groups;
    assert.deepEqual(counts, { group: "g", ready: 0, leased: 1, delayed: 1, dead: 0 });
    assert.ok(age >= 0 && age < 60_000, `${age} ms`);
  });

  test("queue_pause holds jobs back until it is undone", async () => {
    await api.result("queue_pause", { queue: "jobs:pause" });
    await api.result("publish", { channel: "jobs:pause", data: 1 });
    const client = await api.connect("ann");
    await client.ask({ consume: { queue: "jobs:pause" } });
    const { paused, groups } = await api.result("queue_info", { queue: "jobs:pause" });
    assert.deepEqual([paused, groups[0].ready], [true, 1]);
    await api.result("queue_pause", { queue: "jobs:pause", paused: false });
    assert.equal((await jobOf(client)).data, 1);
  });

  test("dead letters are listed, shown, replayed and purged: some, or all", async () => {
    const queue = "jobs:dead";
    await dead(queue, [1, 2, 3, 4]);
    const { dead_letters: letters } = await api.result("dead_list", { queue, limit: 2 });
    const [{ id, time, job, ...first }, second] = letters;
    assert.ok(typeof id === "string" && Math.abs(Date.now() - time) < 60_000);
    assert.deepEqual(first, { group: "default", attempts: 1, reason: "bad 1" });
    assert.deepEqual([job.data, job.tags], [1, { k: "v" }]);
    const { dead_letters: others } = await api.result("dead_list", { queue, after: second.id });
    assert.deepEqual(
      others.map((letter: { reason: string }) => letter.reason),
      ["bad 3", "bad 4"],
    );
    assert.deepEqual((await api.result("dead_show", { queue, ids: [id, "999"] })).dead_letters, [letters[0]]);
    assert.deepEqual(await api.result("dead_replay", { queue, ids: [id] }), { count: 1 });
    assert.deepEqual(await api.result("dead_purge", { queue, ids: [second.id, id] }), { count: 1 });
    assert.deepEqual(await api.result("dead_replay", { queue, all: true }), { count: 2 });
    assert.deepEqual(await api.result("dead_purge", { queue, all: true }), { count: 0 });
    const { groups } = await api.result("queue_info", { queue });
    assert.deepEqual([groups[0].ready, groups[0].dead], [3, 0]);
  });

  test("queue_forget lets go of a group's jobs", async () => {
    const queue = "jobs:forget";
    await api.result("publish", { channel: queue, data: 1 });
    const client = await api.connect("ann");
    for (const group of ["here", "gone"]) await client.ask({ consume: { queue, group } });
    const [one, two] = [await jobOf(client, 1), await jobOf(client, 2)];
    const here = one.group === "here" ? one : two;
    await client.ask({ done: { queue, group: "here", lease: here.lease } });
    assert.equal((await api.result("queue_info", { queue })).jobs, 1);
    await api.result("queue_forget", { queue, group: "gone" });
    assert.equal((await api.result("queue_info", { queue })).jobs, 0);
  });

  test("what is no queue, no dead letter and no request is refused", async () => {
    const code = async (method: string, request: object): Promise<number> =>
      (await api.call(method, request)).body.error.code;
    assert.equal(await code("queue_info", { queue: "chat:1" }), 108);
    assert.equal(await code("queue_info", { queue: "nowhere:1" }), 102);
    assert.equal(await code("queue_info", { queue: "not a queue" }), 107);
    assert.equal(await code("dead_purge", { queue: "jobs:a" }), 107);
    assert.equal(await code("dead_purge", { queue: "jobs:a", ids: ["1"], all: true }), 107);
    assert.equal(await code("publish", { channel: "chat:1", data: 1, ttl: 1 }), 108);
  });
});
