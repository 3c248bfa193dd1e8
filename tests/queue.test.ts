/**
 * Queues under trouble: producers repeat, workers are killed and frozen, handlers throw and overrun their leases, the server
 * is killed. `TODOKU_SEED` repeats a run's choices (not the system's timing); `TODOKU_JOBS` makes it longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_ATTEMPTS, queueRun, type Outcome, type RunOptions } from "./queue/run.ts";
import { SeededRandom } from "./seeded-random.ts";

const JOBS = Number(process.env["TODOKU_JOBS"] ?? 1500);
const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const TIMEOUT_MS = 60_000 + JOBS * 60;

const RUN: Omit<RunOptions, "random"> = { jobs: JOBS, producers: 10, workers: 5, serverKills: 3, mode: "fenced" };

interface Judgement {
  /** Jobs that work, without a result. */
  readonly lost: readonly number[];
  readonly doubled: readonly number[];
  /** Jobs that never work and are no dead letter, or have a result. */
  readonly spared: readonly number[];
  /** Dead letters of jobs that work, repeated ones, and ones that were not tried so often. */
  readonly wronged: readonly number[];
}

function judge({ jobs, results, dead }: Outcome): Judgement {
  const times = new Map<number, number>();
  for (const n of results) times.set(n, (times.get(n) ?? 0) + 1);
  const bad = new Set(jobs.filter(({ kind }) => kind === "bad").map(({ n }) => n));
  const buried = new Set(dead.map(({ n }) => n));
  return {
    lost: jobs.filter(({ n }) => !bad.has(n) && !times.has(n)).map(({ n }) => n),
    doubled: [...times].filter(([, count]) => count > 1).map(([n]) => n),
    spared: [...bad].filter((n) => !buried.has(n) || times.has(n)),
    wronged: dead
      .filter(
        ({ n, attempts }, i) => !bad.has(n) || attempts !== MAX_ATTEMPTS || dead.findIndex((one) => one.n === n) !== i,
      )
      .map(({ n }) => n),
  };
}

test(
  `of ${JOBS} jobs each has exactly one result, and dead are exactly those that never work`,
  { timeout: TIMEOUT_MS },
  async (t) => {
    t.diagnostic(`TODOKU_SEED=${SEED}`);
    const outcome = await queueRun({ ...RUN, random: new SeededRandom(SEED) });
    t.diagnostic(`${outcome.workerKills} workers killed or frozen, ${outcome.duplicates} publishes repeated`);
    assert.deepEqual(judge(outcome), { lost: [], doubled: [], spared: [], wronged: [] });
    assert.ok(
      outcome.duplicates > 0 && outcome.workerKills > 0,
      "it must have come to trouble, or the run shows nothing",
    );
  },
);

test("control: without the fence around its effect a job has several", { timeout: TIMEOUT_MS }, async (t) => {
  t.diagnostic(`TODOKU_SEED=${SEED}`);
  const outcome = await queueRun({
    ...RUN,
    jobs: 400,
    serverKills: 0,
    mode: "unfenced",
    random: new SeededRandom(SEED),
  });
  const { lost, doubled } = judge(outcome);
  assert.deepEqual(lost, []);
  assert.ok(doubled.length > 0, "every result was stored once, so the first test cannot fail");
});
