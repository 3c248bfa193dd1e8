import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { DurationHistogram } from "./durations.ts";
import { textOf } from "./metrics.ts";

test("what one process sends to another is data, and comes to one histogram of both", async () => {
  const registry = new Registry();
  const histogram = new DurationHistogram("todoku_t_seconds", "Of a test.", registry);
  histogram.of("chat").observe(3);
  histogram.of("chat").observe(20_000);
  // As between processes: it throws for what is not data.
  const snapshot = structuredClone(await registry.getMetricsAsJSON());
  const lines = new Set((await textOf([snapshot, snapshot])).split("\n"));
  for (const line of [
    '_bucket{le="0.0025",namespace="chat"} 0',
    '_bucket{le="0.005",namespace="chat"} 2',
    '_bucket{le="10",namespace="chat"} 2',
    '_bucket{le="+Inf",namespace="chat"} 4',
    '_sum{namespace="chat"} 40.006',
    '_count{namespace="chat"} 4',
  ])
    assert.ok(lines.has(`todoku_t_seconds${line}`), `${line} is not in\n${[...lines].join("\n")}`);
});
