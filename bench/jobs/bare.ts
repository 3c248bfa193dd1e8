/** The floors: what the stores can do when nothing stands between, with the same calls in a loop. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn, setTimeout as after } from "node:timers/promises";
import { Redis } from "ioredis";
import { open } from "lmdb";
import type { Message } from "../../server/src/backbones/contract.ts";
import { MemoryBackbone } from "../../server/src/backbones/memory.ts";
import { DONE, ENQUEUE, LEASE } from "../../server/src/backbones/redis/streams/queue-scripts.ts";
import { systemClock } from "../../server/src/clock.ts";
import type { JobData, JobSetting, JobSystem } from "./job-system.ts";
import { jobRedis } from "./redis.ts";

const LEASE_MS = 30_000;
const [MOST_ATTEMPTS, FIRST_MS, LAST_MS] = [5, 1000, 300_000];

/** The same scripts: one call for the jobs of a turn, one for a lease of many, one for the end of all of them. */
export const bareScripts: JobSystem = {
  name: "the scripts in a bare loop",
  start: async (setting) => {
    const redis = await jobRedis(setting);
    const connection = new Redis(redis.url);
    for (const { source } of [ENQUEUE, LEASE, DONE]) await connection.script("LOAD", source);
    const keys = ["bare:{jobs}:queue", "bare:{jobs}:bus"] as const;
    let waiting: { readonly job: JobData; readonly resolve: () => void }[] = [];
    const flush = async (): Promise<void> => {
      const all = waiting;
      waiting = [];
      const args = all.flatMap(({ job }) => [JSON.stringify(messageOf(job)), 0, 0, 0]);
      await connection.evalsha(ENQUEUE.sha, 2, ...keys, "PUBLISH", ...args);
      for (const { resolve } of all) resolve();
    };
    const stop = new AbortController();
    const loops = loopsOf(setting, stop.signal, async (limit) => {
      const how = [limit, LEASE_MS, randomUUID(), MOST_ATTEMPTS, FIRST_MS, LAST_MS, "1"];
      const answer = (await connection.evalsha(LEASE.sha, 2, ...keys, "g", ...how)) as (string | number)[];
      const leases: string[] = [];
      for (let i = 1; i + 2 < answer.length; i += 3) {
        leases.push(String(answer[i]));
        setting.handle(dataOf(JSON.parse(String(answer[i + 2])) as Message));
      }
      if (leases.length > 0) await connection.evalsha(DONE.sha, 2, ...keys, "g", ...leases);
      return leases.length;
    });
    return {
      pids: [redis.pid],
      enqueue: (job) =>
        new Promise<void>((resolve) => {
          if (waiting.push({ job, resolve }) === 1) queueMicrotask(() => void flush());
        }),
      empty: async () => (await connection.zcard(`${keys[0]}:order`)) === 0,
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await loops;
        connection.disconnect();
        await redis[Symbol.asyncDispose]();
      },
    };
  },
};

/** Puts and deletes, committed and flushed in batches by `lmdb` itself. No leases: nothing comes again. */
export const bareLmdb: JobSystem = {
  name: "lmdb's puts and deletes in a bare loop",
  start: async (setting) => {
    const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
    const store = open<Message, number>({ path: path.join(folder, "jobs.mdb"), overlappingSync: false });
    let head = 0;
    let taken = 0;
    const stop = new AbortController();
    const loops = loopsOf(setting, stop.signal, async (limit) => {
      const found = Array.from(store.getRange({ start: taken + 1, limit }));
      taken = found.at(-1)?.key ?? taken;
      for (const { value } of found) setting.handle(dataOf(value));
      await Promise.all(found.map(({ key }) => store.remove(key)));
      return found.length;
    });
    return {
      pids: [],
      enqueue: (job) => store.put(++head, messageOf(job)),
      empty: async () => store.getCount() === 0,
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await loops;
        await store.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};

/** The backbone's own calls, with no gateway and no client. */
export const bareMemory: JobSystem = {
  name: "the backbone's calls in a bare loop",
  start: async (setting) => {
    const backbone = new MemoryBackbone({}, systemClock);
    await backbone.open();
    const { queue } = backbone;
    const redelivery = {
      maxAttempts: MOST_ATTEMPTS,
      backoff: { firstMs: FIRST_MS, lastMs: LAST_MS },
      deadLetters: true,
    };
    const stop = new AbortController();
    const loops = loopsOf(setting, stop.signal, async (limit) => {
      const { leases } = await queue.lease("jobs", "g", { limit, leaseMs: LEASE_MS, redelivery });
      for (const { job } of leases) setting.handle(dataOf(job));
      await Promise.all(leases.map(({ lease }) => queue.done("jobs", "g", lease)));
      return leases.length;
    });
    return {
      pids: [],
      enqueue: (job) => queue.enqueue("jobs", messageOf(job), {}),
      empty: async () => (await queue.info("jobs")).jobs === 0,
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await loops;
        await backbone.close();
      },
    };
  },
};

/** As many loops as workers; each takes and ends up to `concurrency` jobs at once. `take` resolves with how many it had. */
async function loopsOf(
  { workers, concurrency }: JobSetting,
  stop: AbortSignal,
  take: (limit: number) => Promise<number>,
): Promise<void> {
  const loop = async (): Promise<void> => {
    while (!stop.aborted) await ((await take(concurrency)) > 0 ? turn() : after(1));
  };
  await Promise.all(Array.from({ length: workers }, loop));
}

function messageOf(job: JobData): Message {
  return { id: `bench-${job.n}`, time: Date.now(), data: JSON.stringify(job) };
}

function dataOf({ data }: Message): JobData {
  return JSON.parse(data) as JobData;
}
