/** What a scrape may cost a store. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BackboneError, type Queue, type QueueInfo } from "../backbones/contract.ts";
import { ManualClock } from "../manual-clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { QueueSampler } from "./sampler.ts";

const STANDS: QueueInfo = { paused: false, jobs: 1, groups: [] };

/** A namespace whose store answers `info` as it is told to. */
function namespaceOf(name: string, info: (queue: string) => Promise<QueueInfo>): Namespace {
  const jobs: Pick<Queue, "info"> = { info };
  return { name, queue: { jobs, sampled: 10 } } as unknown as Namespace;
}

test("a store is asked once at a time, and not again for five seconds", async () => {
  const clock = new ManualClock();
  const answers: ((info: QueueInfo) => void)[] = [];
  const namespace = namespaceOf("jobs", () => new Promise((resolve) => answers.push(resolve)));
  const sampler = new QueueSampler({ clock, failed: assert.fail });
  sampler.used(namespace, "jobs:a");
  const [first, second] = [sampler.sample(), sampler.sample()];
  await clock.advance(0);
  assert.equal(answers.length, 1);
  answers[0]?.(STANDS);
  assert.deepEqual(
    (await first).map(({ queue }) => queue),
    ["jobs:a"],
  );
  assert.deepEqual(await second, await first);
  assert.deepEqual(await sampler.sample(), await first);
  assert.equal(answers.length, 1);
});

test("a store that hangs holds nobody up for more than a second, and is not asked again meanwhile", async () => {
  const clock = new ManualClock();
  let asked = 0;
  const namespace = namespaceOf("jobs", () => {
    asked++;
    return new Promise<never>(() => {});
  });
  const sampler = new QueueSampler({ clock, failed: assert.fail });
  sampler.used(namespace, "jobs:a");
  const sample = sampler.sample();
  await clock.advance(1000);
  assert.deepEqual(await sample, []);
  await clock.advance(60_000);
  const later = sampler.sample();
  await clock.advance(1000);
  assert.deepEqual([await later, asked], [[], 1]);
});

test("once it is stopped no store is asked, and nothing is told of one that was closed meanwhile", async () => {
  const clock = new ManualClock();
  let asked = 0;
  const closed = Promise.withResolvers<never>();
  const namespace = namespaceOf("jobs", () => {
    asked++;
    return closed.promise;
  });
  const sampler = new QueueSampler({ clock, failed: assert.fail });
  for (const queue of ["jobs:a", "jobs:b"]) sampler.used(namespace, queue);
  const sample = sampler.sample();
  sampler.stop();
  closed.reject(new BackboneError("unavailable", "the backbone is closed"));
  assert.deepEqual(await sample, []);
  await clock.advance(60_000);
  assert.deepEqual([await sampler.sample(), asked], [[], 1]);
});

test("a store that fails is told of, is not asked about its other queues, and leaves the others their place", async () => {
  const clock = new ManualClock();
  const asked: string[] = [];
  const broken = namespaceOf("broken", async (queue) => {
    asked.push(queue);
    throw new BackboneError("unavailable", "gone");
  });
  const failed: string[] = [];
  const sampler = new QueueSampler({ clock, failed: ({ name }) => failed.push(name) });
  for (const queue of ["broken:a", "broken:b"]) sampler.used(broken, queue);
  sampler.used(
    namespaceOf("jobs", async () => STANDS),
    "jobs:a",
  );
  const samples = await sampler.sample();
  assert.deepEqual(
    samples.map(({ queue }) => queue),
    ["jobs:a"],
  );
  assert.deepEqual([asked, failed], [["broken:a"], ["broken"]]);
});
