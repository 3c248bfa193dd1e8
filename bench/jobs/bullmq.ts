/**
 * BullMQ as its documentation recommends it for production: a connection for each worker and one for the queue, an append-only file,
 * finished jobs removed. Auto-pipelining is `ioredis`' own, and it depends on the load whether it helps: both are measured.
 */
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { versionOf } from "../package-version.ts";
import type { JobData, JobSystem } from "./job-system.ts";
import { jobRedis } from "./redis.ts";

const QUEUE = "bench";

export function bullmq(enableAutoPipelining: boolean): JobSystem {
  return {
    name: enableAutoPipelining ? "BullMQ, auto-pipelining" : "BullMQ",
    versions: () => ({ bullmq: versionOf("bullmq"), ioredis: versionOf("ioredis") }),
    start: async (setting) => {
      const { workers, concurrency, handle } = setting;
      const redis = await jobRedis(setting);
      const connect = (): Redis => new Redis(redis.url, { maxRetriesPerRequest: null, enableAutoPipelining });
      const connections = Array.from({ length: workers + 1 }, connect);
      const [own = connect(), ...others] = connections;
      const queue = new Queue<JobData>(QUEUE, { connection: own, defaultJobOptions: { removeOnComplete: true } });
      const running = others.map(
        (connection) => new Worker<JobData>(QUEUE, async ({ data }) => handle(data), { connection, concurrency }),
      );
      await Promise.all(running.map((worker) => worker.waitUntilReady()));
      return {
        pids: [redis.pid],
        enqueue: (job) => queue.add("job", job),
        empty: async () => {
          const counts = await queue.getJobCounts("wait", "active");
          return Object.values(counts).every((count) => count === 0);
        },
        [Symbol.asyncDispose]: async () => {
          await Promise.all(running.map((worker) => worker.close()));
          await queue.close();
          for (const connection of connections) connection.disconnect();
          await redis[Symbol.asyncDispose]();
        },
      };
    },
  };
}
