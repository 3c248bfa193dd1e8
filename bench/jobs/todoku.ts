/** todoku's queues: through a gateway and the SDK, and by workers with no gateway between. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Todoku } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import type { ConfigInput } from "../../server/src/config.ts";
import { createPublisher } from "../../server/src/publisher.ts";
import { ServerProcess } from "../../tests/server-process.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { JobData, JobSetting, JobSystem, RunningJobs } from "./job-system.ts";

/** Where the jobs are kept. */
export interface JobStore extends AsyncDisposable {
  readonly settings: Record<string, unknown>;
  readonly pids: readonly number[];
}
export type OpenJobStore = (setting: JobSetting) => Promise<JobStore>;

const QUEUE = "jobs:bench";
const off = { connects: "off", commands: "off", publish: "off", subscribe: "off", user: "off" } as const;

function configOf({ settings }: JobStore): ConfigInput {
  return {
    auth: { insecure: true },
    client: { rate: off },
    log: { level: "error" },
    backbones: { store: settings as never },
    namespaces: {
      jobs: { backbone: "store", publish: "any", consume: "any", queue: { in_flight: 1000 } },
    },
  };
}

export function throughGateway(open: OpenJobStore): JobSystem {
  return { name: "todoku, gateway and SDK", start: (setting) => startGateway(open, setting) };
}

async function startGateway(open: OpenJobStore, setting: JobSetting): Promise<RunningJobs> {
  const store = await open(setting);
  const server = await ServerProcess.start(configOf(store));
  pin(server.program.pid, SERVER_CORE);
  const publisher = new Todoku<Record<string, JobData>>(server.webSocketUrl);
  const workers = Array.from({ length: setting.workers }, () => new Todoku(server.webSocketUrl));
  for (const worker of workers) {
    const { concurrency, handle } = setting;
    await consume<JobData>(worker, QUEUE, { concurrency }, ({ data }) => handle(data)).ready;
  }
  return {
    pids: [server.program.pid, ...store.pids],
    enqueue: (job) => publisher.publish(QUEUE, job),
    empty: async () => (await server.api<{ readonly jobs: number }>("queue_info", { queue: QUEUE })).jobs === 0,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([publisher, ...workers].map((client) => client.close()));
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** A store that other processes share, and can be asked itself whether it is empty. */
export interface SharedJobStore extends JobStore {
  jobsLeft(queue: string): Promise<number>;
}

export function withoutGateway(open: (setting: JobSetting) => Promise<SharedJobStore>): JobSystem {
  return {
    name: "todoku, no gateway between",
    start: async (setting) => {
      const store = await open(setting);
      const backbone = await createPublisher<Record<string, JobData>>(configOf(store));
      for (let i = 0; i < setting.workers; i++) {
        const { concurrency, handle } = setting;
        backbone.consume(QUEUE, { concurrency }, ({ data }) => handle(data));
      }
      return {
        pids: store.pids,
        enqueue: (job) => backbone.publish(QUEUE, job),
        empty: async () => (await store.jobsLeft(QUEUE)) === 0,
        [Symbol.asyncDispose]: async () => {
          await backbone.close();
          await store[Symbol.asyncDispose]();
        },
      };
    },
  };
}

export async function memoryStore(): Promise<JobStore> {
  return { settings: { type: "memory" }, pids: [], [Symbol.asyncDispose]: async () => {} };
}

export async function embeddedStore(): Promise<JobStore> {
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
  return {
    settings: { type: "embedded", path: path.join(folder, "data") },
    pids: [],
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
