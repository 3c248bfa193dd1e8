/**
 * Queues under trouble on Redis, with three gateways and with workers that have none between: gateways, servers and connections are
 * killed, frozen and cut, and in a Cluster masters are replaced. See `queue.test.ts`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needBroker } from "../scripts/brokers/need.ts";
import { judge, tell } from "./queue/judge.ts";
import { trial } from "./queue/trial.ts";

const { skip } = await needBroker("redis");

for (const name of ["redis", "redis-cluster"] as const) {
  test(
    `${name}: each job has its effect once in each group, and dead are exactly those that never work`,
    { skip },
    async (t) => {
      const outcome = await trial(name, (line) => t.diagnostic(line));
      const violations = judge(outcome);
      assert.deepEqual(violations, [], tell(violations));
      assert.ok(outcome.duplicates > 0 && outcome.struck > 0, "it came to no trouble: the run shows nothing");
    },
  );
}
