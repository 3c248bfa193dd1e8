import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { needBroker } from "../../../../../scripts/brokers/need.ts";
import { systemClock, type Clock } from "../../../clock.ts";
import type { Backbone, BackboneError, EnqueueOptions, Lease, Queue, Redelivery } from "../../contract.ts";
import { backboneSchema } from "../../registry.ts";
import { KafkaCluster, type Topic } from "../cluster.ts";
import { placedRecords } from "../placed-records.ts";
import type { NewRecord, PlacedRecord } from "../records.ts";
import type { KafkaSettings } from "../settings.ts";
import { HastyClock, kafkaBackbone } from "../test-kafka.ts";
import { recordOfCommand } from "./commands.ts";

const broker = await needBroker("kafka");

const PATIENCE_MS = 30_000;
const MINUTE_MS = 60_000;
const redelivery: Redelivery = { maxAttempts: 1, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };
const DEDUPE: EnqueueOptions = { dedupe: { key: "k", windowMs: 10 * MINUTE_MS } };

/** Gateways on topics of their own, of one partition each, and a look at these topics. */
class Stage {
  readonly #prefix = `queues-${systemClock.uuid()}.`;
  readonly #settings: object;
  readonly #cluster: KafkaCluster;

  private constructor() {
    const brokers = broker.skip === false ? [...broker.urls] : [];
    // Some commands later it is written down what the queues are.
    this.#settings = { brokers, prefix: this.#prefix, partitions: 1, queue_snapshot: "2KiB" };
    const settings = backboneSchema.parse({ type: "kafka", ...this.#settings });
    this.#cluster = new KafkaCluster("test", settings as KafkaSettings);
  }

  static async for(t: TestContext): Promise<Stage> {
    const stage = new Stage();
    await stage.#cluster.open();
    t.after(() => stage.#cluster.close());
    return stage;
  }

  /** A gateway, until it is closed or the test ends. */
  async gateway(t: TestContext, clock: Clock = systemClock): Promise<Backbone & { readonly queue: Queue }> {
    const backbone = await kafkaBackbone(this.brokers, this.#settings, clock);
    await backbone.open();
    t.after(() => backbone.close());
    const { queue } = backbone;
    return Object.assign(backbone, { queue: queue ?? assert.fail() });
  }

  get brokers(): readonly string[] {
    return this.#cluster.options.bootstrapBrokers;
  }

  /** Where the log of the queues begins. */
  async begin(): Promise<number> {
    const topic = await this.#topic("QUEUES");
    const [begin = 0] = await this.#cluster.listOffsets(this.#leader(topic), [{ topic, partition: 0 }], "earliest");
    return begin;
  }

  async write(name: "QUEUES" | "QUEUE-STATE", records: readonly NewRecord[]): Promise<void> {
    const topic = await this.#topic(name);
    const batch = { topic: topic.name, partition: 0, sequence: 0, records };
    const [answer] = await this.#cluster.produce(this.#leader(topic), await this.#cluster.newProducer(), -1, [batch]);
    assert.equal(answer?.errorCode, 0);
  }

  /** The manifests that were not forgotten, oldest first. */
  async manifests(): Promise<readonly PlacedRecord[]> {
    const topic = await this.#topic("QUEUE-STATE");
    const at = [{ topic, partition: 0 }];
    const [end = 0] = await this.#cluster.listOffsets(this.#leader(topic), at, "latest");
    const found = new Map<string, PlacedRecord>();
    for (let offset = 0; offset < end;) {
      const from = [{ topic, partition: 0, offset, maxBytes: 1 << 20 }];
      const answer = await this.#cluster.fetch("read", this.#leader(topic), from);
      const { records, next } = placedRecords(answer.get(topic.id)?.get(0) ?? assert.fail(), offset);
      for (const record of records) {
        const key = record.key?.toString() ?? "";
        if (record.value && !key.includes("/")) found.set(key, record);
        else found.delete(key);
      }
      offset = next;
    }
    return [...found.values()];
  }

  async #topic(name: string): Promise<Topic> {
    return (await this.#cluster.find(this.#prefix + name)) ?? assert.fail(`there is no ${name}`);
  }

  #leader(topic: Topic): number {
    return this.#cluster.leaderOf(topic, 0) ?? assert.fail("no leader");
  }
}

let count = 0;
async function enqueue(queue: Queue, text: string, options: EnqueueOptions = {}, name = "jobs:a"): Promise<boolean> {
  const job = { id: `${count++}`, time: Date.now(), data: JSON.stringify(text) };
  return (await queue.enqueue(name, job, options)).duplicate;
}

async function lease(queue: Queue, name = "jobs:a"): Promise<Lease> {
  const { leases } = await queue.lease(name, "g", { limit: 1, leaseMs: 10 * MINUTE_MS, redelivery });
  return leases[0] ?? assert.fail(`${name} has no job`);
}

/** One of each: a job in hand, a dead letter, one that is delayed, one that waits. */
async function fill(queue: Queue): Promise<Lease> {
  await enqueue(queue, "held", DEDUPE);
  const held = await lease(queue);
  await enqueue(queue, "bad");
  await queue.fail("jobs:a", "g", (await lease(queue)).lease, { redelivery, reason: "so it is" });
  await enqueue(queue, "late", { deliverAt: Date.now() + 10 * MINUTE_MS });
  await enqueue(queue, "waits");
  return held;
}

/** All that `fill` has left is there, by whoever is asked. */
async function assertFilled(queue: Queue, held: Lease): Promise<void> {
  assert.deepEqual(await queue.held("jobs:a", "g", held.lease), held);
  const dead = await queue.dead.list("jobs:a", { limit: 10 });
  assert.deepEqual(
    dead.map(({ job, reason }) => [job.data, reason]),
    [['"bad"', "so it is"]],
  );
  const { jobs, groups } = await queue.info("jobs:a");
  const [group, ...more] = groups;
  assert.deepEqual([jobs, more, group?.leased, group?.dead], [3, [], 1, 1]);
  assert.equal(await enqueue(queue, "held", DEDUPE), true);
}

/** Jobs come and go until the log was cut behind `beyond`. */
async function churn(stage: Stage, queue: Queue, beyond = 0): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while ((await stage.begin()) <= beyond) {
    assert.ok(Date.now() < deadline, `the log begins where it did after ${PATIENCE_MS / 1000} s`);
    await Promise.all(Array.from({ length: 20 }, () => enqueue(queue, "x".repeat(100), {}, "jobs:b")));
    const { leases } = await queue.lease("jobs:b", "g", { limit: 20, leaseMs: MINUTE_MS, redelivery });
    await Promise.all(leases.map(({ lease: one }) => queue.done("jobs:b", "g", one)));
  }
}

/** The newest is left, the one before, and one whose successor is not read back yet. Older ones go after the log before them: the last of them may be on its way. */
async function fewSnapshots(stage: Stage): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let left = await stage.manifests(); left.length > 3; left = await stage.manifests())
    assert.ok(Date.now() < deadline, `${left.length} snapshots are left after ${PATIENCE_MS / 1000} s`);
}

describe("the state of queues on Kafka", { skip: broker.skip }, () => {
  test("is written down, and the log before it removed; whoever starts later goes on from there", async (t) => {
    const stage = await Stage.for(t);
    const one = await stage.gateway(t);
    const held = await fill(one.queue);
    await churn(stage, one.queue);
    await one.close();
    const later = await stage.gateway(t);
    await assertFilled(later.queue, held);
    assert.equal(JSON.parse((await lease(later.queue)).job.data), "waits");
    assert.equal(await later.queue.done("jobs:a", "g", held.lease), "done");
    await churn(stage, later.queue, await stage.begin());
    await fewSnapshots(stage);
  });

  test("is there though the newest snapshot is torn, and not taken for empty where all are", async (t) => {
    const stage = await Stage.for(t);
    const one = await stage.gateway(t);
    const held = await fill(one.queue);
    await churn(stage, one.queue);
    await one.close();
    const newest = (await stage.manifests()).at(-1)?.key ?? assert.fail();
    await stage.write("QUEUE-STATE", [{ key: Buffer.from(`${newest.toString()}/0`), value: Buffer.from("torn") }]);
    const later = await stage.gateway(t);
    await assertFilled(later.queue, held);
    await later.close();

    const manifests = await stage.manifests();
    const forgotten = manifests.flatMap(({ key }) => (key ? [{ key, value: null }] : []));
    await stage.write("QUEUE-STATE", forgotten);
    const blind = await stage.gateway(t);
    for (const call of [() => enqueue(blind.queue, "new"), () => blind.queue.info("jobs:a")]) {
      await assert.rejects(call, (error: BackboneError) => {
        assert.equal(error.reason, "invalid");
        assert.match(error.message, /QUEUES\/0 begins at \d+, .* no whole snapshot of it is left/);
        return true;
      });
    }
    await blind.close();

    // As from a backup.
    await stage.write(
      "QUEUE-STATE",
      manifests.flatMap(({ key, value }) => (key ? [{ key, value }] : [])),
    );
    await assertFilled((await stage.gateway(t)).queue, held);
  });

  test("is known again to a gateway that was away while the log was cut, whatever its clock says", async (t) => {
    const stage = await Stage.for(t);
    const clock = new HastyClock();
    const [one, away] = [await stage.gateway(t), await stage.gateway(t, clock)];
    const held = await fill(one.queue);
    await assertFilled(away.queue, held);
    // What is not used for so long is not followed any more.
    clock.later = 9 * MINUTE_MS;
    await churn(stage, one.queue, (await stage.begin()) + 50);
    await assertFilled(away.queue, held);
    assert.deepEqual((await away.queue.info("jobs:a")).groups, (await one.queue.info("jobs:a")).groups);
    assert.equal(await away.queue.done("jobs:a", "g", held.lease), "done");
  });

  test("is not touched by what is no command, and not guessed at after one of another version", async (t) => {
    const stage = await Stage.for(t);
    const one = await stage.gateway(t);
    const held = await fill(one.queue);
    const record = (header: object): NewRecord => ({
      ...recordOfCommand("jobs:a", { do: "pause", paused: true }, { by: "other", n: 1 }),
      headers: new Map([[Buffer.from("todoku-command"), Buffer.from(JSON.stringify(header))]]),
    });
    const strange = { by: "other", n: 1, command: { do: "lease" } };
    await stage.write("QUEUES", [
      { key: Buffer.from("jobs:a"), value: Buffer.from("1") },
      record({ format: 1, ...strange }),
      record({ format: 1, ...strange, command: { do: "lease", group: "x", options: { limit: 1 }, nonce: "1" } }),
      record({ format: 1, ...strange, command: { do: "dance" } }),
    ]);
    await assertFilled(one.queue, held);
    await stage.write("QUEUES", [record({ format: 2, ...strange })]);
    for (const gateway of [one, await stage.gateway(t)]) {
      await assert.rejects(gateway.queue.info("jobs:a"), /at \d+ has a command of format 2, and this version knows 1/);
    }
  });
});
