import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../manual-clock.ts";
import type { PlacedRecord } from "../records.ts";
import { recordOfCommand, type Command, type Outcome } from "./commands.ts";
import { QueuePartition, type QueuePartitionOptions } from "./queue-partition.ts";

const QUEUE = "jobs:a";
const redelivery = { maxAttempts: 3, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };
const enqueue: Command = { do: "enqueue", job: { id: "1", time: 0 }, options: {} };
const lease: Command = { do: "lease", group: "g", options: { limit: 1, leaseMs: 1000, redelivery }, nonce: "n" };

/** A partition as this gateway ("me") reads it, and what it is told to do. */
class Bench {
  readonly clock = new ManualClock();
  readonly orphans: Outcome[] = [];
  readonly told: string[] = [];
  due = 0;
  readonly saved: number[] = [];
  readonly partition: QueuePartition;
  #offset = 0;

  constructor(options: Partial<QueuePartitionOptions> = {}) {
    this.partition = new QueuePartition(0, {
      name: "kafka",
      topicName: "todoku.QUEUES",
      clock: this.clock,
      by: "me",
      snapshotBytes: Number.POSITIVE_INFINITY,
      tell: (queue) => this.told.push(queue),
      orphaned: (_, outcome) => this.orphans.push(outcome),
      due: () => this.due++,
      save: (_, next) => this.saved.push(next),
      restore: async () => undefined,
      ...options,
    });
  }

  take(command: Command, { by = "me", n = 0, time = this.clock.now() } = {}): void {
    const { key, value, headers } = recordOfCommand(QUEUE, command, { by, n }, "1");
    const record: PlacedRecord = { offset: this.#offset++, time, key, value, headers: [...(headers ?? [])] };
    this.partition.take(record);
  }
}

test("what came of a command is told to who waits for it, and else that nobody does", async () => {
  const at = new Bench();
  at.take(enqueue, { by: "other" });
  const outcome = at.partition.outcomeOf(7);
  at.take(lease, { by: "other", n: 7 });
  assert.ok(at.partition.awaits(7), "another gateway's command has the same number");
  at.take(enqueue, { n: 7 });
  assert.deepEqual(await outcome, { duplicate: false });
  assert.equal(at.orphans.length, 0);

  void at.partition.outcomeOf(8);
  at.partition.abandon(8);
  at.take(lease, { n: 8 });
  const [orphan] = at.orphans;
  assert.ok(typeof orphan === "object" && "leases" in orphan);
  assert.equal(orphan.leases.length, 1, "jobs that were handed to nobody are to be given back");
});

test("the time is that of the records, goes on with our clock, and never goes back", async () => {
  const at = new Bench();
  const zero = at.clock.now();
  const answer = async (time: number, tookMs: number): Promise<number> => {
    void at.partition.outcomeOf(1);
    await at.clock.advance(tookMs);
    at.take(enqueue, { n: 1, time });
    return at.partition.now() - zero;
  };
  assert.equal(await answer(zero + 5, 10), 10, "stamped on its way: our clock may be right");
  assert.equal(await answer(zero + 5000, 10), 5000, "stamped later than it came back");
  await at.clock.advance(100);
  assert.equal(at.partition.now() - zero, 5100);
  assert.equal(await answer(zero + 50, 10), 5000, "stamped before it was written: the clock is behind the last record");
  assert.equal(at.partition.state.time - zero, 5000);
});

test("the state is written down when so much log has come as it is large, by whoever says so first", () => {
  const at = new Bench({ snapshotBytes: 1000 });
  const pause: Command = { do: "pause", paused: false };
  for (let i = 0; i < 30; i++) at.take(pause);
  assert.equal(at.due, 1, "asked once");
  at.take({ do: "snapshot", since: -1 }, { by: "other" });
  at.take({ do: "snapshot", since: -1 });
  assert.deepEqual(at.saved, [], "another was first");
  for (let i = 0; i < 30; i++) at.take(pause);
  assert.equal(at.due, 2);
  at.take({ do: "snapshot", since: 30 });
  assert.deepEqual(at.saved, [63]);
});

test("who watches hears of jobs that may be handed out, and of nothing else", () => {
  const at = new Bench();
  const heard = (command: Command): number => {
    const before = at.told.length;
    at.take(command, { by: "other" });
    return at.told.length - before;
  };
  const keyed: Command = { ...enqueue, options: { dedupe: { key: "k", windowMs: 1000 } } };
  assert.deepEqual([heard(keyed), heard(keyed)], [1, 0]);
  assert.equal(heard(lease), 0);
  const fail = (untried: boolean, of: string): Command => ({
    do: "fail",
    group: "g",
    lease: of,
    failure: { redelivery, untried },
  });
  assert.deepEqual([heard(fail(true, "1-other")), heard(fail(true, "1-n"))], [0, 1]);
  assert.deepEqual([heard(lease), heard(fail(false, "1-n"))], [0, 0]);
  assert.equal(heard({ do: "pause", paused: false }), 1);
});
