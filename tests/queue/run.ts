/** One run of the queue test: producers that repeat, workers and a server that are killed and frozen, and what came of it. */
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { Todoku } from "@todoku/client";
import type { ConfigInput } from "../../server/src/config.ts";
import { Program } from "../program.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { ServerProcess } from "../server-process.ts";
import { LEASE_MS, QUEUE, RESULTS, type Work } from "./work.ts";

const WORKER = path.join(import.meta.dirname, "worker.ts");
/** So many that no job is given up because its workers were killed. */
export const MAX_ATTEMPTS = 12;

const open = { backbone: "local", publish: "any", history: "any" } as const;

const CONFIG: ConfigInput = {
  auth: { insecure: true },
  client: { history_limit: 1_000_000, queue_bytes: "64MiB", rate: { commands: "off", publish: "off", user: "off" } },
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: {
    jobs: {
      ...open,
      consume: "any",
      delivery: "exactly-once",
      queue: { lease: `${LEASE_MS}ms`, max_attempts: MAX_ATTEMPTS, backoff: "10ms..100ms" },
    },
    results: { ...open, delivery: "exactly-once", retention: { messages: 1_000_000 } },
  },
};

export interface RunOptions {
  readonly random: SeededRandom;
  readonly jobs: number;
  readonly producers: number;
  readonly workers: number;
  readonly serverKills: number;
  readonly mode: "fenced" | "unfenced";
}

export interface Outcome {
  readonly jobs: readonly Work[];
  /** Publishes that were answered as repeated. */
  readonly duplicates: number;
  /** The numbers of the jobs, as often as a result of each is stored. */
  readonly results: readonly number[];
  readonly dead: readonly { readonly n: number; readonly attempts: number }[];
  readonly workerKills: number;
}

export async function queueRun(options: RunOptions): Promise<Outcome> {
  const { random, workers, mode } = options;
  await using server = await ServerProcess.start(CONFIG);
  await server.keepCompiledCode();
  const crew = new Crew(server.webSocketUrl, mode, workers);
  try {
    const ended = new AbortController();
    const trouble = crew.trouble(random.fork(), ended.signal);
    const [produced] = await Promise.all([produce(server.webSocketUrl, options), killAgain(server, options)]);
    ended.abort();
    await trouble;
    await untilEmpty(server);
    return { ...produced, ...(await whatCameOf(server)), workerKills: crew.kills };
  } finally {
    await crew.end();
  }
}

async function produce(
  url: string,
  { random, jobs: count, producers }: RunOptions,
): Promise<Pick<Outcome, "jobs" | "duplicates">> {
  const jobs = Array.from({ length: count }, (_, n): Work => ({
    n,
    kind: n % 50 === 7 ? "bad" : n % 40 === 3 ? "overrun" : "good",
  }));
  let duplicates = 0;
  const shares = Array.from({ length: producers }, (_, i) => jobs.filter(({ n }) => n % producers === i));
  await Promise.all(
    shares.map(async (share) => {
      const luck = random.fork();
      const client = new Todoku<{ [QUEUE]: Work }>(url, { backoff: { firstMs: 20, lastMs: 200 }, timeoutMs: 2000 });
      client.on("error", () => {});
      for (const work of share) {
        const { duplicate } = await client.publish(QUEUE, work, { key: `job ${work.n}` });
        // Some applications repeat what was stored.
        const again = luck.next() < 0.1 && (await client.publish(QUEUE, work, { key: `job ${work.n}` })).duplicate;
        duplicates += Number(duplicate) + Number(again);
        await after(luck.integer(0, 30));
      }
      await client.close();
    }),
  );
  return { jobs, duplicates };
}

async function killAgain(server: ServerProcess, { random, serverKills }: RunOptions): Promise<void> {
  for (let i = 0; i < serverKills; i++) {
    await after(random.integer(500, 1500));
    await server.kill();
    await server.restart();
  }
}

/** The workers, each a process. */
class Crew {
  kills = 0;
  readonly #url: string;
  readonly #mode: string;
  readonly #workers: Program[];

  constructor(url: string, mode: string, count: number) {
    this.#url = url;
    this.#mode = mode;
    this.#workers = Array.from({ length: count }, () => this.#start());
  }

  /** Kills and freezes one after the other until the signal. */
  async trouble(random: SeededRandom, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await after(random.integer(100, 500));
      const at = random.integer(0, this.#workers.length - 1);
      const worker = this.#workers[at];
      if (!worker) continue;
      this.kills++;
      if (random.next() < 0.5) {
        await worker.end("SIGKILL");
        this.#workers[at] = this.#start();
      } else {
        worker.signal("SIGSTOP");
        await after(LEASE_MS * 1.5);
        worker.signal("SIGCONT");
      }
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.end("SIGKILL")));
  }

  #start(): Program {
    return new Program(WORKER, [this.#url, this.#mode]);
  }
}

async function untilEmpty(server: ServerProcess): Promise<void> {
  for (;;) {
    const { jobs } = await server.api<{ jobs: number }>("queue_info", { queue: QUEUE });
    if (jobs === 0) return;
    await after(100);
  }
}

async function whatCameOf(server: ServerProcess): Promise<Pick<Outcome, "results" | "dead">> {
  interface Kept {
    readonly publications: readonly { readonly data: { readonly n: number } }[];
  }
  interface Letters {
    readonly dead_letters: readonly { readonly attempts: number; readonly job: { readonly data: Work } }[];
  }
  const { publications } = await server.api<Kept>("history", { channel: RESULTS, limit: -1 });
  const { dead_letters: letters } = await server.api<Letters>("dead_list", { queue: QUEUE, limit: 1000 });
  return {
    results: publications.map(({ data }) => data.n),
    dead: letters.map(({ attempts, job }) => ({ n: job.data.n, attempts })),
  };
}
