/** Jobs from enqueueing to done, on each backbone that has queues. */
import { bareLmdb, bareMemory, bareScripts } from "../jobs/bare.ts";
import { bullmq } from "../jobs/bullmq.ts";
import { JOB_BYTES, jobsOf, type JobLoad } from "../jobs/jobs-of.ts";
import type { JobSystem } from "../jobs/job-system.ts";
import { bareKafka, kafkaStore } from "../jobs/kafka.ts";
import { redisStore } from "../jobs/redis.ts";
import { embeddedStore, memoryStore, throughGateway, withoutGateway } from "../jobs/todoku.ts";
import type { Control, Scenario } from "../scenario.ts";

const JOBS = 10_000;

/** The same for everybody; not tuned for anybody. */
const ONE: JobLoad = { load: "1 worker", workers: 1, concurrency: 100, flushed: false };
const TEN: JobLoad = { load: "10 workers", workers: 10, concurrency: 20, flushed: false };
const TEN_FLUSHED: JobLoad = { ...TEN, load: "10 workers, flushed", flushed: true };

const ABOUT =
  `${JOBS.toLocaleString("en")} jobs of ${JOB_BYTES.toLocaleString("en")} bytes, 200 of which are being enqueued at any time, each on its own, ` +
  "until all are done: handlers only count, and each job must come once. The processor time is that of all processes.";

const peers = [bullmq(false), bullmq(true)];

export const redisQueue: Scenario = scenarioOf({
  name: "queue-redis",
  title: "Queues on Redis",
  about:
    `${ABOUT} Redis keeps an append-only file, flushed every second (\`confirm: memory\`) or, in the last rows, before each ` +
    "answer (`confirm: disk`). Everybody handles up to 100 jobs at once in one worker, 20 in each of ten.",
  systems: [throughGateway(redisStore), withoutGateway(redisStore), ...peers, bareScripts],
  loads: [ONE, TEN, TEN_FLUSHED],
  controls: [
    { title: "of BullMQ", contenders: peers.map(({ name }) => name) },
    { title: "of the bare loop", contenders: [bareScripts.name] },
  ],
  expectedSeconds: 60,
});

export const kafkaQueue: Scenario = scenarioOf({
  name: "queue-kafka",
  title: "Queues on Kafka",
  about:
    `${ABOUT} One broker. The bare client produces and consumes: it has no leases, no groups of jobs and no client behind it, ` +
    "and nothing is written for the end of a job.",
  systems: [throughGateway(kafkaStore), bareKafka],
  loads: [ONE, TEN],
  controls: [{ title: "of the bare client", contenders: [bareKafka.name] }],
  expectedSeconds: 60,
});

export const embeddedQueue: Scenario = scenarioOf({
  name: "queue-embedded",
  title: "Queues on embedded",
  about: `${ABOUT} The bare loop has no leases, no groups and no client: nothing of it comes again.`,
  systems: [throughGateway(embeddedStore), bareLmdb],
  loads: [ONE, TEN],
  controls: [{ title: "of the bare loop", contenders: [bareLmdb.name] }],
  expectedSeconds: 20,
});

export const memoryQueue: Scenario = scenarioOf({
  name: "queue-memory",
  title: "Queues in memory",
  about: `${ABOUT} The bare loop has no client and no socket.`,
  systems: [throughGateway(memoryStore), bareMemory],
  loads: [ONE, TEN],
  controls: [{ title: "of the bare loop", contenders: [bareMemory.name] }],
  expectedSeconds: 15,
});

interface JobScenario extends Pick<Scenario, "name" | "title" | "about" | "expectedSeconds"> {
  readonly systems: readonly JobSystem[];
  readonly loads: readonly JobLoad[];
  readonly controls: readonly Control[];
}

function scenarioOf({ systems, loads, ...rest }: JobScenario): Scenario {
  return {
    ...rest,
    unit: "jobs/s",
    better: "more",
    contenders: systems.map((system) => jobsOf(system, loads, JOBS)),
  };
}
