import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Prediction, Workload } from "../advise/cost-model.ts";
import { Folder } from "./program.ts";

async function advised(...args: readonly string[]): Promise<Prediction & { readonly workload: Workload }> {
  using folder = new Folder();
  const { code, out, error } = await folder.call(["advise", ...args]);
  assert.equal(code, 0, error);
  return JSON.parse(out) as Prediction & { workload: Workload };
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
