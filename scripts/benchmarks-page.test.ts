import assert from "node:assert/strict";
import { test } from "node:test";
import type { Result } from "../bench/result.ts";
import { benchmarkPages } from "./benchmarks-page.ts";

const ROW = { ratios: {}, details: {}, generatorWasTheBottleneck: false, behind: false, faults: [] };

const RESULT: Result = {
  scenario: "test",
  title: "A <test>",
  about: "About it.",
  unit: "things",
  better: "more",
  digits: 0,
  command: "npm run bench -- test",
  date: "2026-01-02",
  repeats: 5,
  pinned: true,
  machine: { cores: 2, processor: "a processor", memoryGB: 8, system: "Linux" },
  versions: { node: "24.1.0" },
  controls: ["of the floor"],
  rows: [
    { ...ROW, server: "todoku", load: "", values: [1], median: 20_000, min: 18_000, max: 21_000 },
    { ...ROW, server: "floor", load: "", values: [1], median: 40_000, min: 38_000, max: 41_000 },
  ],
  goals: [],
  absent: { peer: "it needs go, which is not on this machine" },
};

test("the page is made from kept results, with a chart for each scenario", () => {
  const pages = benchmarkPages([RESULT]);
  const page = pages.get("docs/reference/benchmarks.md") ?? "";
  for (const part of ["## A <test>", "npm run bench -- test", "2026-01-02", "node 24.1.0", "it needs go", "20.0 k"])
    assert.ok(page.includes(part), part);
  const chart = pages.get("docs/images/bench-test.svg") ?? "";
  assert.ok(page.includes("../images/bench-test.svg"));
  assert.match(chart, /A &lt;test&gt;/);
  assert.equal(chart.match(/class="bar/g)?.length, 2);
  assert.match(chart, /prefers-color-scheme: dark/);
});

test("without results the page says so", () => {
  assert.match(benchmarkPages([]).get("docs/reference/benchmarks.md") ?? "", /no results yet/);
});
