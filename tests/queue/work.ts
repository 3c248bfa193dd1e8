/** What the queue test's producers, workers and judge agree on. */

export const QUEUE = "jobs:work";
export const RESULTS = "results:all";
/** The shortest there is. */
export const LEASE_MS = 1000;

/** `bad` never works; the first attempt at `overrun` lasts longer than its lease. */
export interface Work {
  readonly n: number;
  readonly kind: "good" | "bad" | "overrun";
}
