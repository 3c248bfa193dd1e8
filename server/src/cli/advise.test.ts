import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Prediction, Workload } from "../advise/cost-model.ts";
import { Folder } from "./program.ts";

interface Advice extends Prediction {
  readonly workload: Workload;
  readonly notes: readonly string[];
}

async function advised(...args: readonly string[]): Promise<Advice> {
  using folder = new Folder();
  const { code, out, error } = await folder.call(["advise", ...args]);
  assert.equal(code, 0, error);
  return JSON.parse(out) as Advice;
}

describe("todoku advise", () => {
  test("a small load needs one process with its own store", async () => {
    const advice = await advised("--connections", "500", "--publishes", "1");
    assert.equal(advice.workload.carrier, "embedded");
    assert.equal(advice.workload.subscribersPerChannel, 500);
    assert.deepEqual([advice.processes, advice.machines, advice.partitions], [1, 1, 0]);
  });

  test("more than a machine can do needs a broker, by what is promised", async () => {
    const load = ["--connections", "200000", "--publishes", "50", "--channels", "100"];
    assert.equal((await advised(...load)).workload.carrier, "redis-pubsub");
    const kept = await advised(...load, "--delivery", "exactly-once");
    assert.equal(kept.workload.carrier, "redis-streams");
    assert.ok(kept.processes >= 14 && kept.machines > 2 && kept.partitions === 1, JSON.stringify(kept));
  });

  test("what cannot be done is said, and ends with 1", async () => {
    using folder = new Folder();
    const load = ["--connections", "1000000", "--publishes", "10", "--backbone", "embedded"];
    const { code, out } = await folder.call(["advise", ...load]);
    assert.equal(code, 1);
    const { problems } = JSON.parse(out) as Prediction;
    assert.match(problems.join(), /embedded stays on one machine, and this takes \d+: take redis-streams/);
  });

  test("what the sum leaves out is said", async () => {
    const small = await advised("--connections", "500", "--publishes", "1");
    assert.equal(small.notes.length, 1);
    assert.match(small.notes.join(), /redis-streams; not for kafka/);
    const load = ["--connections", "40000", "--publishes", "10", "--backbone", "embedded"];
    const shared = await advised(...load, "--channels", "40000", "--delivery", "at-least-once");
    assert.ok(shared.processes > 1);
    assert.match(shared.notes.join(), /its core bounds publishes: count on 38,400 a second/);
    const unmeasured = await advised(...load, "--channels", "40000", "--delivery", "exactly-once");
    assert.match(unmeasured.notes.join(), /was not measured for exactly-once/);
  });

  const mistakes: readonly [why: string, args: readonly string[], error: RegExp][] = [
    ["no connections", ["--publishes", "1"], /--connections is missing/],
    ["no publishes", ["--connections", "1"], /--publishes is missing/],
    ["a size that is none", ["--connections", "1", "--publishes", "1", "--size", "big"], /--size takes a size.*"big"/],
    [
      "a mistyped promise",
      ["--connections", "1", "--publishes", "1", "--delivery", "exactly-onc"],
      /did you mean exactly-once\?/,
    ],
    [
      "an unknown backbone",
      ["--connections", "1", "--publishes", "1", "--backbone", "pigeons"],
      /"pigeons" is not known; there are embedded/,
    ],
  ];
  for (const [why, args, message] of mistakes) {
    test(`${why} is refused`, async () => {
      using folder = new Folder();
      const { code, error } = await folder.call(["advise", ...args]);
      assert.equal(code, 2);
      assert.match(error, message);
    });
  }
});
