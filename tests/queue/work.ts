/** What the queue test's producers, workers and judge agree on. */

/** Each queue with the groups that work on it. */
export const QUEUES: Readonly<Record<QueueName, readonly string[]>> = {
  "jobs:one": ["a"],
  "jobs:two": ["a"],
  "jobs:shared": ["a", "b"],
};
export type QueueName = "jobs:one" | "jobs:two" | "jobs:shared";

export const QUEUE_NAMES = Object.keys(QUEUES) as QueueName[];

/** Short, so that a run sees many of them end. */
export const LEASE_MS = 2000;
/** What is not done when nothing was done for so long, will not be. */
export const STALLED_MS = 120_000;
/**
 * So many that no job is given up because its workers were killed, frozen or starved: an attempt that none of them failed is over when
 * its lease is, and a job that is lost so often is lost for as long as a run may stand still.
 */
export const MAX_ATTEMPTS = STALLED_MS / LEASE_MS;
/** A `flaky` job fails so often, and then works. */
export const FLAKY_FAILURES = 2;

/**
 * `bad` never works; `flaky` does not at first; `long` takes longer than its lease, which is renewed; the first attempt at
 * `zombie` stands still, with its whole process, until its lease has ended, and goes on as if it had it.
 */
export type Kind = "good" | "bad" | "flaky" | "long" | "zombie";

export interface Work {
  readonly n: number;
  readonly queue: QueueName;
  readonly kind: Kind;
}

/** Of every `rare` jobs one is `long`, and one `zombie`. */
export function workOf(n: number, rare: number): Work {
  return { n, queue: QUEUE_NAMES[n % QUEUE_NAMES.length] ?? "jobs:one", kind: kindOf(n, rare) };
}

function kindOf(n: number, rare: number): Kind {
  if (n % rare === 3) return "zombie";
  if (n % rare === 8) return "long";
  if (n % 500 === 7) return "bad";
  return n % 50 === 11 ? "flaky" : "good";
}

/** Where the effects of a group's jobs are. */
export function resultsOf(queue: QueueName, group: string): string {
  return `results:${queue.slice("jobs:".length)}-${group}`;
}

/** One queue and group, which a worker works for. */
export interface Post {
  readonly queue: QueueName;
  readonly group: string;
}

export const POSTS: readonly Post[] = QUEUE_NAMES.flatMap((queue) => QUEUES[queue].map((group) => ({ queue, group })));

/** An attempt, as a worker process notes it before the handler does anything. */
export interface Attempt extends Post {
  readonly n: number;
  readonly attempt: number;
}
