/** Queues: how they stand, pausing, and dead letters. Jobs are enqueued by `publish`. */
import { ERRORS, TodokuError, type Json } from "@todoku/protocol";
import { z } from "zod";
import type { DeadLetter, Queue } from "../backbones/contract.ts";
import { asRefusal } from "../namespaces/publisher.ts";
import { withAll } from "../queues/dead-letters.ts";
import { clientInfo, empty, namespaceOfChannel, route, type ApiContext, type Route } from "./route.ts";

const MOST_LETTERS = 1000;

const queueField = z.string().meta({ description: "Name of the queue.", example: "jobs:resize" });
const groupField = z.string().min(1).max(128);
const idsField = z.array(z.string().min(1).max(32)).min(1).max(MOST_LETTERS);

const deadLetter = z.object({
  id: z.string().meta({ description: "Names the dead letter within its queue." }),
  group: z.string(),
  attempts: z.int(),
  time: z.int().meta({ description: "When it was given up; milliseconds since 1970." }),
  reason: z.string(),
  job: z.object({
    id: z.string(),
    time: z.int(),
    data: z.unknown(),
    tags: z.record(z.string(), z.string()).optional(),
    info: clientInfo.optional(),
  }),
});

const queueInfo: Route = route({
  method: "queue_info",
  summary: "How a queue stands, and each of its groups.",
  request: z.object({ queue: queueField }),
  result: z.object({
    paused: z.boolean(),
    jobs: z.int().meta({ description: "Kept because some group has not done them, or because there is no group yet." }),
    groups: z.array(
      z.object({
        group: z.string(),
        ready: z.int(),
        leased: z.int(),
        delayed: z.int(),
        dead: z.int(),
        oldest_age_ms: z.int().optional().meta({ description: "Age of the oldest job that the group has not done." }),
      }),
    ),
  }),
  run: (context, { queue }) =>
    ask(context, "queue_info", queue, async (jobs) => {
      const { paused, jobs: kept, groups } = await jobs.info(queue);
      return {
        paused,
        jobs: kept,
        groups: groups.map(({ oldestTime, ...counts }) => ({
          ...counts,
          ...(oldestTime !== undefined && { oldest_age_ms: Math.max(0, context.now() - oldestTime) }),
        })),
      };
    }),
});

const queuePause: Route = route({
  method: "queue_pause",
  summary: "Hand out no jobs, or go on. Jobs in hand can be done, and new ones are taken, in between.",
  request: z.object({ queue: queueField, paused: z.boolean().default(true) }),
  result: empty,
  run: (context, { queue, paused }) =>
    ask(context, "queue_pause", queue, async (jobs) => {
      await jobs.pause(queue, paused);
      return {};
    }),
});

const queueForget: Route = route({
  method: "queue_forget",
  summary: "Forget a group that nobody consumes for any more, and what it has not done. Its dead letters stay.",
  request: z.object({ queue: queueField, group: groupField }),
  result: empty,
  run: (context, { queue, group }) =>
    ask(context, "queue_forget", queue, async (jobs) => {
      await jobs.forget(queue, group);
      return {};
    }),
});

const deadList: Route = route({
  method: "dead_list",
  summary: "Dead letters of a queue, oldest first.",
  request: z.object({
    queue: queueField,
    limit: z.int().min(1).max(MOST_LETTERS).default(100),
    after: z.string().optional().meta({ description: "Only those after the one with this id." }),
  }),
  result: z.object({ dead_letters: z.array(deadLetter) }),
  run: (context, { queue, limit, after }) =>
    ask(context, "dead_list", queue, async ({ dead }) => {
      const letters = await dead.list(queue, { limit, ...(after !== undefined && { after }) });
      return { dead_letters: letters.map(shown) };
    }),
});

const deadShow: Route = route({
  method: "dead_show",
  summary: "The dead letters with these ids, as far as they are there.",
  request: z.object({ queue: queueField, ids: idsField }),
  result: z.object({ dead_letters: z.array(deadLetter) }),
  run: (context, { queue, ids }) =>
    ask(context, "dead_show", queue, async ({ dead }) => ({ dead_letters: (await dead.get(queue, ids)).map(shown) })),
});

const some = z
  .object({ queue: queueField, ids: idsField.optional(), all: z.boolean().default(false) })
  .refine(({ ids, all }) => (ids === undefined) === all, "must name the dead letters in ids, or say all: true");
const count = z.object({ count: z.int().meta({ description: "How many there were." }) });

const deadReplay: Route = route({
  method: "dead_replay",
  summary: "Hand dead letters to their groups again, as if for the first time: those with these ids, or all.",
  request: some,
  result: count,
  run: (context, { queue, ids }) =>
    ask(context, "dead_replay", queue, async ({ dead }) => ({
      count: await (ids ? dead.replay(queue, ids) : withAll(dead, queue, "replay")),
    })),
});

const deadPurge: Route = route({
  method: "dead_purge",
  summary: "Forget dead letters: those with these ids, or all.",
  request: some,
  result: count,
  run: (context, { queue, ids }) =>
    ask(context, "dead_purge", queue, async ({ dead }) => ({
      count: await (ids ? dead.purge(queue, ids) : withAll(dead, queue, "purge")),
    })),
});

export const QUEUE_ROUTES: readonly Route[] = [
  queueInfo,
  queuePause,
  queueForget,
  deadList,
  deadShow,
  deadReplay,
  deadPurge,
];

/** @throws TodokuError 102, 107, 108 for what is no queue, 402 for what the backbone could not do, once that is reported. */
async function ask<T>(
  context: ApiContext,
  method: string,
  queue: string,
  work: (jobs: Queue) => Promise<T>,
): Promise<T> {
  const namespace = namespaceOfChannel(context, queue);
  if (!namespace.queue) throw new TodokuError(ERRORS.notAvailable, `${queue} is no queue`);
  try {
    return await work(namespace.queue.jobs);
  } catch (error) {
    context.report(method, error);
    throw asRefusal(error);
  }
}

function shown({ job, ...about }: DeadLetter): z.input<typeof deadLetter> {
  return { ...about, job: { ...job, data: JSON.parse(job.data) as Json } };
}
