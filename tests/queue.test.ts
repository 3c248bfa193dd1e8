/**
 * Queues under trouble, in the server's own store: producers repeat, workers are killed and frozen, handlers throw and overrun their
 * leases, the server is killed and frozen. `TODOKU_SEED` repeats a run's choices (not the system's timing); `TODOKU_JOBS` is how
 * many jobs the runs of this file, of `queue-redis.test.ts` and of `queue-kafka.test.ts` have together. `npm run queues` makes one as long as one likes.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { judge, tell, type QueueRule } from "./queue/judge.ts";
import type { QueueRunOptions } from "./queue/run.ts";
import { trial } from "./queue/trial.ts";
import { MAX_ATTEMPTS, workOf } from "./queue/work.ts";

for (const name of ["memory", "embedded"] as const) {
  test(`${name}: each job has its effect once in each group, and dead are exactly those that never work`, async (t) => {
    const outcome = await trial(name, (line) => t.diagnostic(line));
    const violations = judge(outcome);
    assert.deepEqual(violations, [], tell(violations));
    assert.ok(outcome.duplicates > 0 && outcome.struck > 0, "it came to no trouble: the run shows nothing");
  });
}

async function mustGoRed(t: TestContext, rule: QueueRule, options: Partial<QueueRunOptions>): Promise<void> {
  const told = (line: string): void => t.diagnostic(line);
  const violations = judge(
    await trial("embedded", told, { processes: 3, jobs: 400, rare: 150, faults: [], ...options }),
  );
  told(tell(violations));
  assert.ok(
    violations.some((violation) => violation.rule === rule),
    `nothing was ${rule}: the rule cannot fail`,
  );
}

test("control: a gateway that ignores the fence lets a job have its effect twice", async (t) => {
  const ignoreFence = path.join(import.meta.dirname, "queue", "ignore-fence.ts");
  await mustGoRed(t, "twice", { nodeFlags: ["--import", ignoreFence] });
});

test("control: without deduplication a repeated publish has its effect twice", async (t) => {
  await mustGoRed(t, "twice", { namespace: { delivery: "at-least-once", dedupe: "0s" } });
});

test("control: a job that is given up one attempt too early is found among the dead", async (t) => {
  await mustGoRed(t, "buried", { queue: { max_attempts: MAX_ATTEMPTS - 1 } });
});

test("control: a job that works and is given up is found, though it was attempted as often as may be", () => {
  const work = workOf(0, 1000);
  assert.equal(work.kind, "good");
  const letter = { n: work.n, queue: work.queue, group: "a", attempts: MAX_ATTEMPTS };
  const violations = judge({ jobs: [work], attempts: [], effects: [], dead: [letter] });
  assert.deepEqual(
    violations.map(({ rule }) => rule),
    ["lost", "buried"],
  );
});
