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

/** Every gateway does what is told of every job: more processes than cores would mostly wait for each other. */
const CREW = { producers: 6, processes: 4, workersPerProcess: 3 };

test(
  "kafka: each job has its effect once in each group, and dead are exactly those that never work",
  { skip },
  async (t) => {
    const outcome = await trial("kafka", (line) => t.diagnostic(line), CREW);
    const violations = judge(outcome);
    assert.deepEqual(violations, [], tell(violations));
    assert.ok(outcome.duplicates > 0 && outcome.struck > 0, "it came to no trouble: the run shows nothing");
  },
);
