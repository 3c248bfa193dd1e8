/** What the job systems on Redis have in common: a server of its own for each, on the first core, as BullMQ recommends it. */
import { Redis } from "ioredis";
import { ownServer } from "../../server/src/backbones/redis/test-redis.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { JobSetting } from "./job-system.ts";
import type { SharedJobStore } from "./todoku.ts";

export interface JobRedis extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

export async function jobRedis({ flushed }: JobSetting): Promise<JobRedis> {
  const { server, end } = await ownServer({
    save: "",
    appendonly: "yes",
    appendfsync: flushed ? "always" : "everysec",
  });
  pin(server.pid ?? 0, SERVER_CORE);
  return { url: `redis://127.0.0.1:${server.port}`, pid: server.pid ?? 0, [Symbol.asyncDispose]: end };
}

export async function redisStore(setting: JobSetting): Promise<SharedJobStore> {
  const redis = await jobRedis(setting);
  const asking = new Redis(redis.url);
  return {
    settings: { type: "redis-streams", url: redis.url, confirm: setting.flushed ? "disk" : "memory" },
    pids: [redis.pid],
    jobsLeft: (queue) => asking.zcard(`todoku:{${queue}}:queue:order`),
    [Symbol.asyncDispose]: async () => {
      asking.disconnect();
      await redis[Symbol.asyncDispose]();
    },
  };
}
