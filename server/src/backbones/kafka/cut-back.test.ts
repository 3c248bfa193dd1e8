/** A partition whose end is gone, with messages that were acknowledged: another epoch, without a restart, for everybody alike. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, globSync, truncateSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { Admin, Producer } from "@platformatic/kafka";
import { untilKafkaIsWhole } from "../../../../scripts/brokers/kafka.ts";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { ownServers } from "../../../../scripts/brokers/own-servers.ts";
import type { Clock } from "../../clock.ts";
import type { Backbone, Bus, Log, Queue, Range, Redelivery } from "../contract.ts";
import { Reigns } from "./reigns.ts";
import { HastyClock, kafkaBackbone } from "./test-kafka.ts";

const broker = await needBroker("kafka");
const PATIENCE_MS = 30_000;
const CHANNEL = "chat:1";
const QUEUE = "jobs:1";
const redelivery: Redelivery = { maxAttempts: 3, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };

describe("a partition that was cut back", { skip: broker.skip }, () => {
  let kafka: Awaited<ReturnType<typeof ownServers>>;
  before(async () => {
    kafka = await ownServers("kafka");
  });
  after(() => kafka.end());

  test("has another epoch, which goes on with what is left of the old one", async (t) => {
    const prefix = "live.";
    const following = await open(t, prefix);
    const { bus } = following;
    assert.ok(bus);
    let heard = 0;
    await bus.subscribe(CHANNEL, ({ kind }) => kind === "signal" && heard++);
    const log = logOf(following);
    const { epoch } = await append(log, 10);
    await signals(bus, () => heard > 0);
    await cut([`${prefix}chat`, 6], [`${prefix}BUS`, 0]);
    await cutIsSeen(log, epoch);
    const before = heard;
    await signals(bus, () => heard > before);

    const range = await log.read(CHANNEL, { limit: 100 });
    assert.notEqual(range.epoch, epoch);
    assert.deepEqual(range.forks, [{ epoch, offset: 6 }]);
    assert.deepEqual(offsetsOf(range), [1, 2, 3, 4, 5, 6]);
    // The broker may have forgotten by whom the last was written; nobody can say then what became of the first.
    const next = await append(log, 1).catch(() => append(log, 1));
    assert.equal(next.epoch, range.epoch);

    const later = await logOf(await open(t, prefix)).read(CHANNEL, { limit: 100 });
    assert.deepEqual([later.epoch, later.forks], [range.epoch, range.forks], "who comes later is told the same");
    assert.deepEqual([...offsetsOf(later).slice(0, 6), offsetsOf(later).at(-1)], [1, 2, 3, 4, 5, 6, next.offset]);
  });

  test("is recognised also where it has grown beyond what was read, by who starts later with a snapshot", async (t) => {
    const prefix = "grown.";
    const first = await open(t, prefix);
    const { epoch } = await append(logOf(first), 10);
    const witness = await open(t, prefix, new HastyClock());
    await logOf(witness).heads([CHANNEL]);
    await snapshotOf(prefix);
    await Promise.all([first.close(), witness.close()]);
    await cut([`${prefix}chat`, 6]);
    await produce(`${prefix}chat`, 10);

    const range = await logOf(await open(t, prefix)).read(CHANNEL, { limit: 100 });
    assert.notEqual(range.epoch, epoch);
    assert.deepEqual(range.forks, [{ epoch, offset: 6 }]);
    assert.deepEqual(
      offsetsOf(range),
      Array.from({ length: 16 }, (_, i) => i + 1),
    );
  });

  test("lets queues go on with what is left, though a snapshot says more", async (t) => {
    const prefix = "queues.";
    const first = await queueOf(t, prefix);
    for (let i = 0; i < 5; i++) await enqueue(first, i);
    // What is in none of the records that are left.
    for (let i = 0; i < 40; i++) await first.pause(QUEUE, true);
    await snapshotOf(prefix, "QUEUE-STATE");
    await cut([`${prefix}QUEUES`, 5]);
    const left = async (queue: Queue): Promise<readonly unknown[]> => {
      const { jobs, paused } = await queue.info(QUEUE);
      return [jobs, paused];
    };
    const deadline = Date.now() + PATIENCE_MS;
    while ((await left(first).catch(() => []))[1] !== false) assert.ok(Date.now() < deadline, "the cut is not seen");
    assert.deepEqual(await left(first), [5, false]);
    await enqueue(first, 5).catch(() => enqueue(first, 5));
    const later = await queueOf(t, prefix);
    assert.deepEqual(await left(later), await left(first));
    const { leases } = await later.lease(QUEUE, "g", { limit: 5, leaseMs: 60_000, redelivery });
    assert.deepEqual(
      leases.map(({ job }) => job.data),
      ["0", "1", "2", "3", "4"],
    );
    assert.equal(await first.done(QUEUE, "g", leases[0]?.lease ?? ""), "done");
  });

  async function queueOf(t: TestContext, prefix: string): Promise<Queue> {
    const backbone = await kafkaBackbone(kafka.urls, { prefix, partitions: 1, queue_snapshot: "2KiB" });
    t.after(() => backbone.close());
    await backbone.open();
    return backbone.queue ?? assert.fail("the backbone has no queue");
  }

  async function enqueue(queue: Queue, i: number): Promise<void> {
    await queue.enqueue(QUEUE, { id: String(i), time: Date.now(), data: String(i) }, {});
  }

  async function open(t: TestContext, prefix: string, clock?: Clock): Promise<Backbone> {
    const backbone = await kafkaBackbone(kafka.urls, { prefix, partitions: 1 }, clock);
    t.after(() => backbone.close());
    await backbone.open();
    return backbone;
  }

  /** Takes the ends of partitions off the broker's disk, so that so many records are left in each. */
  async function cut(...topics: readonly (readonly [topic: string, kept: number])[]): Promise<void> {
    const [server] = kafka.servers;
    assert.ok(server);
    await server.kill();
    for (const [topic, kept] of topics) cutOnDisk(path.join(server.options.folder, "data", `${topic}-0`), kept);
    await server.start();
    await untilKafkaIsWhole(kafka.urls);
  }

  async function snapshotOf(prefix: string, name = "INDEX"): Promise<void> {
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [...kafka.urls] });
    try {
      // Its content, and what says that it is whole.
      const records = async (): Promise<bigint> => {
        const topics = [{ name: `${prefix}${name}`, partitions: [{ partitionIndex: 0, timestamp: -1n }] }];
        const [topic] = await admin.listOffsets({ topics }).catch(() => []);
        return topic?.partitions[0]?.offset ?? 0n;
      };
      const deadline = Date.now() + PATIENCE_MS;
      while ((await records()) < 2n) assert.ok(Date.now() < deadline, "there is no snapshot");
    } finally {
      await admin.close();
    }
  }

  async function produce(topic: string, count: number): Promise<void> {
    const producer = new Producer({ clientId: "test", bootstrapBrokers: [...kafka.urls] });
    const messages = Array.from({ length: count }, (_, i) => {
      const [key, value] = [Buffer.from(CHANNEL), Buffer.from(String(i))];
      return { topic, partition: 0, key, value };
    });
    await producer.send({ messages, acks: -1 });
    await producer.close();
  }
});

test("what two logs have in common ends where either of them has another leader", () => {
  const reigns = new Reigns();
  for (const [epoch, from] of [
    [0, 0],
    [2, 60],
    [2, 70],
    [5, 90],
  ] as const)
    reigns.note(epoch, from);
  assert.equal(reigns.newest, 5);
  assert.equal(reigns.sharedWith({ epoch: 5, end: 95 }, 100), 95);
  assert.equal(reigns.sharedWith({ epoch: 2, end: 80 }, 100), 80);
  assert.equal(
    reigns.sharedWith({ epoch: 2, end: 95 }, 100),
    90,
    "the other log was written for longer by that leader",
  );
  assert.equal(reigns.sharedWith({ epoch: 1, end: 50 }, 100), 0, "nothing is known of that leader");
});

function cutOnDisk(folder: string, kept: number): void {
  const file = path.join(folder, "00000000000000000000.log");
  const bytes = readFileSync(file);
  let at = 0;
  // Each batch begins with the offset of its first record, and its length behind these two.
  while (at < bytes.length && Number(bytes.readBigInt64BE(at)) < kept) at += 12 + bytes.readInt32BE(at + 8);
  truncateSync(file, at);
  // What says where things are in the log, and is made again.
  for (const index of globSync("*.{index,timeindex,snapshot}", { cwd: folder })) rmSync(path.join(folder, index));
}

/** Sends one after the other until it is heard. */
async function signals(bus: Bus, heard: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!heard()) {
    assert.ok(Date.now() < deadline, "nothing is heard on the bus");
    await bus.publish(CHANNEL, { kind: "signal", signal: "1" }).catch(() => {});
  }
}

/** One by one, each in a batch of its own. */
async function append(log: Log, count: number): Promise<{ readonly epoch: string; readonly offset: number }> {
  let last = { epoch: "", offset: 0 };
  for (let i = 0; i < count; i++) {
    last = await log.append(CHANNEL, { id: String(i), time: Date.now(), data: String(i) }, { retention: {} });
  }
  return last;
}

async function cutIsSeen(log: Log, epoch: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let now = epoch; now === epoch;) {
    assert.ok(Date.now() < deadline, "the epoch is the same after 30 s");
    const [head] = await log.heads([CHANNEL]).catch(() => []);
    now = head?.epoch ?? epoch;
  }
}

function offsetsOf({ messages }: Range): readonly number[] {
  return messages.map(({ offset }) => offset);
}

function logOf({ log }: Backbone): Log {
  return log ?? assert.fail("the backbone has no log");
}
