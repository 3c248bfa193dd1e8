/** Results of jobs where the queue's backbone cannot store them with the end of the job: they lie in another one here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BackboneError, type Lease } from "../backbones/contract.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { parseConfig } from "../config-file.ts";
import { silentObserver } from "../gateway/observer.ts";
import { ManualClock } from "../manual-clock.ts";
import type { Namespace, NamespaceQueue } from "../namespaces/namespace.ts";
import { openNamespaces } from "../namespaces/open.ts";
import { Publisher } from "../namespaces/publisher.ts";
import { complete, type JobResult } from "./completion.ts";

const QUEUE = "jobs:a";
const GROUP = "g";

async function open(): Promise<Pipeline> {
  const clock = new ManualClock();
  const [queues, logs] = [new MemoryBackbone({}, clock), new MemoryBackbone({}, clock)];
  await Promise.all([queues.open(), logs.open()]);
  const config = parseConfig({
    backbones: { queues: { type: "memory" }, logs: { type: "memory" } },
    namespaces: {
      jobs: { backbone: "queues", queue: {} },
      results: { backbone: "logs", retention: { messages: 100 }, dedupe: "10m" },
      forgetful: { backbone: "logs", retention: { messages: 100 }, dedupe: "0s" },
    },
  });
  const namespaces = openNamespaces(
    config,
    new Map([
      ["queues", queues],
      ["logs", logs],
    ]),
  );
  const namespaceOf = (channel: string): Namespace => {
    const namespace = namespaces.of(channel);
    assert.ok(namespace);
    return namespace;
  };
  return new Pipeline(clock, new Publisher(clock, silentObserver), logs, namespaceOf);
}

class Pipeline {
  readonly clock: ManualClock;
  readonly publisher: Publisher;
  readonly rules: NamespaceQueue;
  readonly #logs: MemoryBackbone;
  readonly #namespaceOf: (channel: string) => Namespace;

  constructor(
    clock: ManualClock,
    publisher: Publisher,
    logs: MemoryBackbone,
    namespaceOf: (channel: string) => Namespace,
  ) {
    this.clock = clock;
    this.publisher = publisher;
    this.#logs = logs;
    this.#namespaceOf = namespaceOf;
    const { queue } = namespaceOf(QUEUE);
    assert.ok(queue);
    this.rules = queue;
  }

  async enqueue(): Promise<void> {
    await this.publisher.publish(this.#namespaceOf(QUEUE), QUEUE, "1");
  }

  async lease(): Promise<Lease> {
    const options = { limit: 1, leaseMs: 1000, redelivery: this.rules.redelivery };
    const [lease] = (await this.rules.jobs.lease(QUEUE, GROUP, options)).leases;
    assert.ok(lease);
    return lease;
  }

  /** Ends the job with these results; `rules` may fail in its own way. */
  complete({ lease }: Lease, results: readonly JobResult[], rules: NamespaceQueue = this.rules): Promise<void> {
    return complete(rules, this.publisher, { queue: QUEUE, group: GROUP, lease }, results);
  }

  result(channel: string, data: unknown): JobResult {
    return { namespace: this.#namespaceOf(channel), channel, data: JSON.stringify(data) };
  }

  async stored(channel: string): Promise<readonly string[]> {
    return (await this.#logs.log.read(channel, { limit: 100 })).messages.map(({ data }) => data);
  }

  /** The store is gone between the results and the end of the job, as when the process is killed there. */
  get crashing(): NamespaceQueue {
    const { jobs } = this.rules;
    const done = async (): Promise<never> => {
      throw new BackboneError("unavailable", "killed");
    };
    return { ...this.rules, jobs: { ...jobs, done } };
  }
}

test("a crash between the results and the end of the job neither loses nor doubles them", async () => {
  const pipeline = await open();
  await pipeline.enqueue();
  const first = await pipeline.lease();
  const results = [pipeline.result("results:a", "a"), pipeline.result("results:a", "b")];
  await assert.rejects(pipeline.complete(first, results, pipeline.crashing), { code: 402 });
  await pipeline.clock.advance(2000);
  const second = await pipeline.lease();
  assert.equal(second.attempt, 2);
  await pipeline.complete(second, [pipeline.result("results:a", "a"), pipeline.result("results:a", "b")]);
  assert.deepEqual(await pipeline.stored("results:a"), ['"a"', '"b"']);
  assert.equal((await pipeline.rules.jobs.info(QUEUE)).jobs, 0);
});

test("whoever lost the lease stores nothing", async () => {
  const pipeline = await open();
  await pipeline.enqueue();
  const zombie = await pipeline.lease();
  await pipeline.clock.advance(2000);
  await assert.rejects(pipeline.complete(zombie, [pipeline.result("results:a", "zombie")]), { code: 406 });
  assert.deepEqual(await pipeline.stored("results:a"), []);
});

test("another job's results are its own, although they look the same", async () => {
  const pipeline = await open();
  for (let i = 0; i < 2; i++) {
    await pipeline.enqueue();
    await pipeline.complete(await pipeline.lease(), [pipeline.result("results:a", "same")]);
  }
  assert.deepEqual(await pipeline.stored("results:a"), ['"same"', '"same"']);
});

test("a result that could be stored twice is refused, and leaves the job as it is", async () => {
  const pipeline = await open();
  await pipeline.enqueue();
  const lease = await pipeline.lease();
  await assert.rejects(pipeline.complete(lease, [pipeline.result("forgetful:a", 1)]), { code: 108 });
  assert.deepEqual(await pipeline.stored("forgetful:a"), []);
  await pipeline.complete(lease, []);
});
