/** A run of the queue test as the test files and `npm run queues` make it: its usual size, and what is told of it. */
import { queueRun, type QueueRun, type QueueRunOptions } from "./run.ts";
import { SETUPS, type Setup } from "./setups.ts";

export type SetupName = keyof typeof SETUPS;

const JOBS = Number(process.env["TODOKU_JOBS"] ?? 100_000);
const CREW = { producers: 20, processes: 10, workersPerProcess: 3 };
const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
/** How the jobs of all runs are shared out: more where they cost less. */
const SHARE: Readonly<Record<SetupName, number>> = {
  memory: 0.15,
  embedded: 0.35,
  redis: 0.27,
  "redis-cluster": 0.2,
  kafka: 0.03,
  // By `npm run queues` only.
  "kafka-cluster": 0,
};

/** Jobs of the run on this backbone, so that all runs together have `TODOKU_JOBS` (100,000). */
export function jobsFor(name: SetupName): number {
  return Math.round(JOBS * SHARE[name]);
}

export async function trial(
  name: SetupName,
  told: (line: string) => void,
  options: Partial<QueueRunOptions> = {},
): Promise<QueueRun> {
  const seed = options.seed ?? SEED;
  told(`TODOKU_SEED=${seed}`);
  const setup: Setup = SETUPS[name];
  const outcome = await queueRun({
    seed,
    told,
    setup,
    jobs: jobsFor(name),
    rare: 1000,
    ...(setup.crew ?? CREW),
    ...options,
  });
  const { jobs, attempts, effects, dead, struck, duplicates } = outcome;
  told(
    `${jobs.length} jobs, ${attempts.length} attempts, ${effects.length} effects, ${dead.length} dead letters; ` +
      `workers killed or frozen ${struck} times, ${duplicates} publishes repeated`,
  );
  return outcome;
}
