/** Measures any job system: from the first job's enqueueing to the end of the last. */
import { setTimeout as after } from "node:timers/promises";
import { cpuSeconds } from "../process-cost.ts";
import type { Contender, Measured } from "../scenario.ts";
import type { JobData, JobSetting, JobSystem } from "./job-system.ts";

export interface JobLoad extends Omit<JobSetting, "handle"> {
  readonly load: string;
}

/** Enqueued at once, each on its own: a server does so for requests that it has under way. */
const UNDER_WAY = 200;
const WARM_UP = 1500;
/** Of a job's data, as JSON. */
export const JOB_BYTES = 1024;
const TEXT = "x".repeat(JOB_BYTES - 24);
/** Between looks at whether all is done. */
const LOOK_MS = 2;
const PATIENCE_MS = 60_000;

export function jobsOf(system: JobSystem, loads: readonly JobLoad[], jobs: number): Contender {
  return {
    name: system.name,
    ...(system.versions && { versions: system.versions }),
    measure: async () => {
      const measured: Measured[] = [];
      for (const load of loads) measured.push(await measure(system, load, jobs));
      return measured;
    },
  };
}

async function measure(system: JobSystem, { load, ...setting }: JobLoad, jobs: number): Promise<Measured> {
  const times = new Map<number, number>();
  let wrong = 0;
  const handle = ({ n, text }: JobData): void => {
    times.set(n, (times.get(n) ?? 0) + 1);
    if (text !== TEXT) wrong++;
  };
  await using running = await system.start({ ...setting, handle });

  const through = async (from: number, to: number): Promise<void> => {
    let next = from;
    const enqueue = async (): Promise<void> => {
      while (next < to) await running.enqueue({ n: next++, text: TEXT });
    };
    await Promise.all(Array.from({ length: UNDER_WAY }, enqueue));
    const deadline = performance.now() + PATIENCE_MS;
    while (times.size < to || !(await running.empty())) {
      if (performance.now() > deadline) return;
      await after(LOOK_MS);
    }
  };
  const cost = (): number => [process.pid, ...running.pids].reduce((sum, pid) => sum + cpuSeconds(pid), 0);

  await through(0, WARM_UP);
  const [begun, spent] = [performance.now(), cost()];
  await through(WARM_UP, WARM_UP + jobs);
  const seconds = (performance.now() - begun) / 1000;
  return {
    load,
    value: jobs / seconds,
    details: { "CPU µs per job": ((cost() - spent) * 1e6) / jobs },
    faults: [...faultsIn(times, WARM_UP + jobs), ...(wrong === 0 ? [] : [`${wrong} jobs with other data`])],
  };
}

function faultsIn(times: ReadonlyMap<number, number>, expected: number): readonly string[] {
  const repeated = [...times.values()].filter((count) => count > 1).length;
  const missing = expected - times.size;
  return [
    ...(missing > 0 ? [`${missing} jobs not done`] : []),
    ...(repeated > 0 ? [`${repeated} jobs done twice`] : []),
  ];
}
