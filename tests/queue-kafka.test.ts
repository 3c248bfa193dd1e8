/**
 * Queues under trouble on Kafka, with three gateways and with workers that have none between; the state is written down and the log
 * cut many times. See `queue.test.ts`. `npm run queues -- --on kafka-cluster` breaks three brokers one way after the other.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needBroker } from "../scripts/brokers/need.ts";
import { judge, tell } from "./queue/judge.ts";
import { trial } from "./queue/trial.ts";

const { skip } = await needBroker("kafka");

test(
  "kafka: each job has its effect once in each group, and dead are exactly those that never work",
  { skip },
  async (t) => {
    const outcome = await trial("kafka", (line) => t.diagnostic(line));
    const violations = judge(outcome);
    assert.deepEqual(violations, [], tell(violations));
    assert.ok(outcome.duplicates > 0 && outcome.struck > 0, "it came to no trouble: the run shows nothing");
  },
);

test("control: without deduplication a repeated publish on kafka has its effect twice", { skip }, async (t) => {
  const jobsNamespace = { delivery: "at-least-once", dedupe: "0s" };
  const options = { jobs: 400, rare: 150, faults: [], jobsNamespace };
  const violations = judge(await trial("kafka", (line) => t.diagnostic(line), options));
  t.diagnostic(tell(violations));
  assert.ok(
    violations.some(({ rule }) => rule === "twice"),
    "nothing was twice: the rule cannot fail",
  );
});
