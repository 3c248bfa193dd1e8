import assert from "node:assert/strict";
import { test } from "node:test";
import { goalsOf, tableOf } from "./report.ts";
import { resultOf, type Result } from "./result.ts";
import { isSound, runScenario } from "./run-scenario.ts";
import type { Contender, Measured, Scenario } from "./scenario.ts";

const SCENARIO: Scenario = {
  name: "test",
  title: "A test",
  about: "About it.",
  unit: "things",
  better: "more",
  expectedSeconds: 1,
  contenders: [],
  controls: [
    { title: "of the floor", contenders: ["floor"] },
    { title: "of the peers", contenders: ["slow peer", "quick peer"] },
  ],
  goals: [
    { contender: "ours", load: "much", control: "of the floor", bound: 0.5 },
    { contender: "ours", load: "much", control: "of the peers", bound: 3 },
    { contender: "ours", load: "much", control: "of the peers", detail: "ms", bound: 1 },
  ],
};

const repeats = (values: readonly number[], more: Partial<Measured> = {}): readonly (readonly Measured[])[] =>
  values.map((value) => [{ load: "much", value, ...more }]);

function result(measured: Record<string, readonly (readonly Measured[])[]>): Result {
  const run = { command: "npm run bench -- test", repeats: 3, pinned: true, versions: {}, absent: {} };
  return resultOf(SCENARIO, new Map(Object.entries(measured)), run);
}

test("a row is the median with its spread, and ratios are those within a repeat", () => {
  const { rows, goals } = result({
    ours: repeats([100, 50, 80], { details: { ms: 2 } }),
    // The machine was half as quick in the second repeat: both noticed.
    floor: repeats([200, 100, 160]),
    "slow peer": repeats([10, 5, 8], { details: { ms: 4 } }),
    "quick peer": repeats([25, 12.5, 20], { details: { ms: 8 } }),
  });
  const [ours] = rows;
  assert.deepEqual([ours?.median, ours?.min, ours?.max], [80, 50, 100]);
  assert.deepEqual(ours?.ratios["of the floor"], { median: 0.5, min: 0.5, max: 0.5 });
  assert.equal(ours?.ratios["of the peers"]?.median, 4, "of the best of the peers");
  assert.deepEqual(
    goals.map(({ reached, met }) => [reached, met]),
    [
      [0.5, true],
      [4, true],
      [0.5, true],
    ],
  );
});

test("what one of the repeats could not tell, its row does not tell", () => {
  const [first, ...others] = repeats([5, 5, 5], { details: { ms: 1, frames: 2 } });
  assert.ok(first);
  const { rows } = result({ "slow peer": [first, [{ load: "much", value: 5, details: { frames: 4 } }], ...others] });
  assert.deepEqual(rows[0]?.details, { frames: 2 });
});

test("a goal that is missed says by how much, and one whose row or control is not there, that it was not measured", () => {
  const unmeasured = [
    "not measured: ours, much, of the peers, aimed at ≥ 3",
    "not measured: ours, much, ms, of the peers, aimed at ≤ 1",
  ];
  const missed = result({ ours: repeats([40]), floor: repeats([100]) });
  assert.deepEqual(goalsOf(missed), ["missed: ours, much, of the floor: 0.40, aimed at ≥ 0.5", ...unmeasured]);
  assert.deepEqual(goalsOf(result({ floor: repeats([100]) })), [
    "not measured: ours, much, of the floor, aimed at ≥ 0.5",
    ...unmeasured,
  ]);
  const closely = result({ ours: repeats([49.96]), floor: repeats([100]) });
  assert.equal(goalsOf(closely)[0], "missed: ours, much, of the floor: 0.4996, aimed at ≥ 0.5");
});

test("a table shows faults, who could not keep up, and a generator without time", () => {
  const { head, rows } = tableOf(
    result({
      ours: repeats([40], { faults: ["3 lost"], generatorShare: 0.95 }),
      floor: repeats([100], { behind: true }),
    }),
  );
  const remarks = head.indexOf("remarks");
  assert.deepEqual(
    rows.map((row) => row[remarks]),
    ["3 lost; the generator was the bottleneck", "cannot keep up"],
  );
});

function contender(name: string, measure: () => Promise<readonly Measured[]>): Contender {
  return { name, measure };
}

test("contenders take turns, and one that fails is told while the others go on", async () => {
  const order: string[] = [];
  const scenario: Scenario = {
    ...SCENARIO,
    contenders: [
      contender("ours", async () => {
        order.push("ours");
        return [{ load: "much", value: 1 }];
      }),
      contender("floor", async () => {
        order.push("floor");
        throw new Error("it broke");
      }),
      { ...contender("absent", async () => []), prepare: async () => "it needs a compiler" },
      contender("peer", async () => {
        order.push("peer");
        return [{ load: "much", value: 2 }];
      }),
    ],
  };
  const told: string[] = [];
  const ran = await runScenario(scenario, { repeats: 2, command: "", tell: (line) => void told.push(line) });
  assert.deepEqual(order, ["ours", "floor", "peer", "ours", "peer"]);
  assert.deepEqual(ran.absent, { absent: "it needs a compiler", floor: "failed: it broke" });
  assert.deepEqual(
    ran.rows.map(({ server, values }) => [server, values]),
    [
      ["ours", [1, 1]],
      ["peer", [2, 2]],
    ],
  );
  assert.equal(isSound(ran), false);
  assert.ok(told.some((line) => line.includes("it broke")));
});

test("what cannot run here is no failure, what is lost is one", async () => {
  const options = { repeats: 1, command: "", tell: () => {} };
  const only = (one: Contender): Scenario => ({ ...SCENARIO, contenders: [one] });
  const absent = { ...contender("ours", async () => []), prepare: async () => "no compiler" };
  assert.equal(isSound(await runScenario(only(absent), options)), true);
  const lossy = contender("ours", async () => [{ load: "", value: 1, faults: ["1 lost"] }]);
  assert.equal(isSound(await runScenario(only(lossy), options)), false);
});
