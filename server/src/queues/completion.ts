/**
 * The end of a job with its results: messages that are stored once for it, however often it is attempted.
 *
 * Where the queue's backbone can store them in one transaction with the end of the job, and all of them go there, it does.
 * Elsewhere each is published first, under a key that is made of the job's id, the group and the result's place: a crash
 * before the job's end lets the job come again, and its results are then recognised as repeated. That holds within the
 * deduplication window of the results' namespaces.
 */
import { createHash } from "node:crypto";
import { ERRORS, TodokuError, type ClientInfo } from "@todoku/protocol";
import type { Namespace, NamespaceQueue } from "../namespaces/namespace.ts";
import { asRefusal, type Publisher } from "../namespaces/publisher.ts";

/** A message that belongs to a job. */
export interface JobResult {
  readonly namespace: Namespace;
  readonly channel: string;
  /** JSON text. */
  readonly data: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly info?: ClientInfo;
}

/** One hand-out of a job. */
export interface LeaseName {
  readonly queue: string;
  readonly group: string;
  readonly lease: string;
}

/**
 * @throws TodokuError 406 when the lease has ended, 108 for a result that cannot be recognised when it comes again, and
 * what a publish of a result is refused with; the job is not done then. 402 and 403 as for a publish.
 */
export async function complete(
  { jobs, backbone }: NamespaceQueue,
  publisher: Publisher,
  { queue, group, lease }: LeaseName,
  results: readonly JobResult[] = [],
): Promise<void> {
  const together = results.every(({ namespace }) => isWith(backbone, namespace));
  if (!together) {
    for (const { namespace, channel } of results) mustRecognise(namespace, channel);
    const held = await attempt(() => jobs.held(queue, group, lease));
    if (!held) throw new TodokuError(ERRORS.leaseLost);
    for (const [i, { namespace, channel, data, ...rest }] of results.entries()) {
      await publisher.publish(namespace, channel, data, { ...rest, key: keyOf(queue, group, held.job.id, i) });
    }
  }
  const stored = together
    ? results.map(({ namespace, channel, data, ...rest }) => publisher.result(namespace, channel, data, rest))
    : [];
  const outcome = await attempt(() => jobs.done(queue, group, lease, stored));
  if (outcome === "fenced") throw new TodokuError(ERRORS.leaseLost);
}

/** Whether what is published in the namespace lies in the backbone that ends the job, which can store both at once. */
function isWith(backbone: NamespaceQueue["backbone"], { queue, log, announces }: Namespace): boolean {
  if (backbone.capabilities.queue?.results !== true) return false;
  return queue ? queue.backbone === backbone : log !== undefined && log === backbone.log && announces;
}

function mustRecognise({ log, queue, dedupeMs }: Namespace, channel: string): void {
  if ((log || queue) && dedupeMs > 0) return;
  throw new TodokuError(
    ERRORS.notAvailable,
    `${channel} keeps no keys, so a result could be stored twice: its namespace needs a log and dedupe`,
  );
}

function keyOf(queue: string, group: string, job: string, place: number): string {
  const of = createHash("sha256")
    .update(JSON.stringify([queue, group, job]))
    .digest("base64url");
  return `job:${of}:${place}`;
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asRefusal(error);
  }
}
