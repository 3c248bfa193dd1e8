/**
 * One run of the queue test: producers that repeat, workers that are killed, frozen, fail and overrun their leases, gateways and
 * a store that are broken one way after the other; and what came of it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import type { ConfigInput } from "../../server/src/config.ts";
import type { Fault } from "../fleet/faults.ts";
import { SeededRandom } from "../seeded-random.ts";
import { ServerProcess } from "../server-process.ts";
import { Crew } from "./crew.ts";
import type { DeadJob, Outcome } from "./judge.ts";
import { Producers } from "./producers.ts";
import type { Setup } from "./setups.ts";
import { LEASE_MS, MAX_ATTEMPTS, POSTS, QUEUE_NAMES, resultsOf, STALLED_MS, type Post, type Work } from "./work.ts";
import type { WorkerTask } from "./worker.ts";

export interface QueueRunOptions {
  readonly seed: number;
  readonly setup: Setup;
  /** At least so many; more come while faults last. */
  readonly jobs: number;
  /** Of so many jobs one is a zombie's, and one takes longer than its lease. */
  readonly rare: number;
  readonly producers: number;
  readonly processes: number;
  readonly workersPerProcess: number;
  /** Default: those of the setup. */
  readonly faults?: readonly Fault[];
  /** For controls. */
  readonly namespace?: Record<string, unknown>;
  /** Of the queues alone. */
  readonly jobsNamespace?: Record<string, unknown>;
  readonly queue?: Record<string, unknown>;
  readonly nodeFlags?: readonly string[];
  readonly told?: (line: string) => void;
}

export interface QueueRun extends Outcome {
  /** Worker processes that were killed or frozen. */
  readonly struck: number;
  /** Publishes that were answered as repeated. */
  readonly duplicates: number;
}

const CONCURRENCY = 16;
const PAGE = 5000;
const LETTERS = 1000;

export async function queueRun(options: QueueRunOptions): Promise<QueueRun> {
  const { seed, setup, jobs, faults = setup.faults, told = () => {} } = options;
  const random = new SeededRandom(seed);
  const begun = Date.now();
  const say = (line: string): void => told(`${((Date.now() - begun) / 1000).toFixed(1)} s: ${line}`);
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-queue-"));
  using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  await using store = await setup.open();
  const config = configOf(store.settings, options);
  await using gateways = await Gateways.start(config, options);
  await using crew = new Crew(folder, tasksOf(gateways.urls, config, options));
  const producers = new Producers(gateways.urls, options.producers, options.rare);
  const [gateway] = gateways.all;
  if (!gateway) throw new Error("a run needs a gateway");
  await untilManned(gateway);

  const stage = {
    gateways: gateways.all,
    servers: store.servers,
    urls: store.urls,
    proxies: store.proxies,
    random: random.fork(),
    progress: () => producers.progress(),
  };
  const ended = new AbortController();
  const trouble = crew.trouble(random.fork(), ended.signal);
  const producing = producers.produce(random.fork());
  for (const [i, fault] of faults.entries()) {
    const share = jobs / (faults.length + 1);
    producers.upTo(Math.ceil(share * (i + 1)));
    // In the middle of its share, so that much is under way.
    await producers.reach(share * (i + 0.5));
    say(`${fault.name}; ${producers.acknowledged} jobs so far`);
    await fault.strike(stage);
  }
  producers.upTo(jobs);
  producers.end();
  await producing;
  say(`${producers.acknowledged} jobs are acknowledged`);
  ended.abort();
  await trouble;
  await untilEmpty(gateway);
  say("all are done");
  return {
    jobs: producers.jobs,
    attempts: crew.attempts(),
    effects: (await Promise.all(POSTS.map((post) => effectsOf(gateway, post)))).flat(),
    dead: (await Promise.all(QUEUE_NAMES.map((queue) => deadOf(gateway, queue)))).flat(),
    struck: crew.struck,
    duplicates: producers.duplicates,
  };
}

function configOf(
  settings: Record<string, unknown>,
  { setup, namespace, jobsNamespace, queue }: QueueRunOptions,
): ConfigInput {
  const open = { backbone: "store", publish: "any", history: "any", delivery: setup.delivery } as const;
  return {
    auth: { insecure: true },
    client: {
      // Long enough that a process which stands still past its leases keeps its connections, and comes back as a zombie.
      ping: "5s",
      pong: "4s",
      history_limit: PAGE,
      queue_bytes: "64MiB",
      unauthenticated_per_address: 10_000,
      rate: { commands: "off", publish: "off", subscribe: "off", connects: "off", user: "off" },
    },
    log: { level: "silent" },
    backbones: { store: settings as never },
    namespaces: {
      jobs: {
        ...open,
        consume: "any",
        queue: { lease: `${LEASE_MS}ms`, max_attempts: MAX_ATTEMPTS, backoff: "10ms..100ms", ...queue },
        ...namespace,
        ...jobsNamespace,
      },
      results: { ...open, retention: setup.retention ?? { messages: 10_000_000 }, ...namespace },
    },
  };
}

/** Every post has as many workers as the others; every third process reaches the backbone with no gateway between, if it can. */
function tasksOf(
  urls: readonly string[],
  config: ConfigInput,
  { setup, processes, workersPerProcess }: QueueRunOptions,
): readonly Omit<WorkerTask, "attempts">[] {
  return Array.from({ length: processes }, (_, i) => ({
    through: setup.shared && i % 3 === 2 ? { config } : { url: urls[i % urls.length] ?? "" },
    posts: Array.from({ length: workersPerProcess }, (_, j) => POSTS[(i + j) % POSTS.length] as Post),
    concurrency: CONCURRENCY,
  }));
}

class Gateways implements AsyncDisposable {
  readonly all: readonly ServerProcess[];

  private constructor(all: readonly ServerProcess[]) {
    this.all = all;
  }

  static async start(config: ConfigInput, { setup, nodeFlags = [] }: QueueRunOptions): Promise<Gateways> {
    const all = await Promise.all(Array.from({ length: setup.gateways }, () => ServerProcess.start(config, nodeFlags)));
    await Promise.all(all.map((gateway) => gateway.keepCompiledCode()));
    return new Gateways(all);
  }

  get urls(): readonly string[] {
    return this.all.map(({ webSocketUrl }) => webSocketUrl);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((gateway) => gateway[Symbol.asyncDispose]()));
  }
}

/** A group is handed what is kept when it comes for the first time: what others had done before, it never sees. */
async function untilManned(gateway: ServerProcess): Promise<void> {
  const deadline = Date.now() + STALLED_MS;
  for (;;) {
    const manned = await Promise.all(
      POSTS.map(async ({ queue, group }) => {
        const { groups } = await gateway.api<{ groups: readonly { group: string }[] }>("queue_info", { queue });
        return groups.some((one) => one.group === group);
      }),
    );
    if (!manned.includes(false)) return;
    if (Date.now() > deadline) throw new Error(`not every group has a worker after ${STALLED_MS / 1000} s`);
    await after(100);
  }
}

async function untilEmpty(gateway: ServerProcess): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  for (let deadline = 0; ;) {
    const kept = await Promise.all(
      QUEUE_NAMES.map(async (queue) => gateway.api<{ readonly jobs: number }>("queue_info", { queue })),
    );
    const left = kept.reduce((sum, { jobs }) => sum + jobs, 0);
    if (left === 0) return;
    if (left < least) deadline = Date.now() + STALLED_MS;
    least = Math.min(least, left);
    if (Date.now() > deadline) throw new Error(`nothing was done for ${STALLED_MS / 1000} s: ${JSON.stringify(kept)}`);
    await after(100);
  }
}

async function effectsOf(gateway: ServerProcess, post: Post): Promise<Outcome["effects"]> {
  interface Page {
    readonly epoch: string;
    readonly publications: readonly { readonly offset: number; readonly data: { readonly n: number } }[];
  }
  const effects: (Post & { readonly n: number })[] = [];
  let since: { offset: number; epoch: string } | undefined;
  for (;;) {
    const asked = { channel: resultsOf(post.queue, post.group), limit: PAGE, ...(since && { since }) };
    const { epoch, publications } = await gateway.api<Page>("history", asked);
    const last = publications.at(-1);
    if (!last) return effects;
    since = { offset: last.offset, epoch };
    for (const { data } of publications) effects.push({ ...post, n: data.n });
  }
}

async function deadOf(gateway: ServerProcess, queue: Post["queue"]): Promise<readonly DeadJob[]> {
  interface Page {
    readonly dead_letters: readonly {
      readonly id: string;
      readonly group: string;
      readonly attempts: number;
      readonly job: { readonly data: Work };
    }[];
  }
  const dead: DeadJob[] = [];
  let after: string | undefined;
  for (;;) {
    const { dead_letters: letters } = await gateway.api<Page>("dead_list", {
      queue,
      limit: LETTERS,
      ...(after !== undefined && { after }),
    });
    if (letters.length === 0) return dead;
    after = letters.at(-1)?.id;
    for (const { group, attempts, job } of letters) dead.push({ queue, group, attempts, n: job.data.n });
  }
}
