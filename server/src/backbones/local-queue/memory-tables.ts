/** The rows of queues in memory. */
import type { Message } from "../contract.ts";
import { bytesOf } from "./facet.ts";
import { SortedTable } from "./sorted-table.ts";
import type { DeadRow, JobRow, QueueRow, QueueTables, StateRow } from "./tables.ts";

/** What a job costs beside its data: its row, and those of the groups that have begun it. */
const OVERHEAD_BYTES = 512;

/** A row, as it is written down. */
export type DumpedRow =
  | readonly ["queue", string, QueueRow]
  | readonly ["job", string, number, JobRow]
  | readonly ["state", string, string, number, StateRow]
  | readonly ["dead", string, number, DeadRow]
  | readonly ["key", string, number];

export class MemoryQueueTables implements QueueTables {
  readonly queues: SortedTable<string, QueueRow> = new SortedTable();
  /** Of waiting jobs and dead letters, with what they cost beside their data. */
  bytes = 0;
  readonly jobs: SortedTable<[string, number], JobRow> = new WeighedTable((bytes) => (this.bytes += bytes));
  readonly states: SortedTable<[string, string, number], StateRow> = new SortedTable();
  readonly dues: SortedTable<[string, string, number, number], true> = new SortedTable();
  readonly dead: SortedTable<[string, number], DeadRow> = new WeighedTable((bytes) => (this.bytes += bytes));
  /** Idempotency key → until when it is remembered, in the order of their first use. */
  readonly #keys = new Map<string, number>();

  knows(queue: string, key: string, now: number): boolean {
    return (this.#keys.get(JSON.stringify([queue, key])) ?? 0) > now;
  }

  remember(queue: string, key: string, windowMs: number, now: number): void {
    for (const [known, until] of this.#keys) {
      if (until > now) break;
      this.#keys.delete(known);
    }
    const id = JSON.stringify([queue, key]);
    // Deleted first: an old key's new end belongs at the end of the order.
    this.#keys.delete(id);
    this.#keys.set(id, now + windowMs);
  }

  /** Forgets what makes no difference any more. Whether nothing is left. */
  prune(now: number): boolean {
    for (const [key, until] of this.#keys) if (until <= now) this.#keys.delete(key);
    const idle = this.queues.entries().every(([, { jobs, paused, groups }]) => jobs + groups.length === 0 && !paused);
    return idle && this.#keys.size === 0 && this.dead.entries().length === 0;
  }

  /** All rows as they are now: what is changed later is changed elsewhere. */
  dump(): DumpedRow[] {
    // Rows of queues are changed in place, the others are replaced.
    return [
      ...this.queues.entries().map(([queue, row]) => ["queue", queue, structuredClone(row)] as const),
      ...this.jobs.entries().map(([[queue, number], row]) => ["job", queue, number, row] as const),
      ...this.states.entries().map(([[queue, group, number], row]) => ["state", queue, group, number, row] as const),
      ...this.dead.entries().map(([[queue, number], row]) => ["dead", queue, number, row] as const),
      ...[...this.#keys].map(([key, until]) => ["key", key, until] as const),
    ];
  }

  /** Takes over a row of `dump`; they come in its order. */
  restore(row: DumpedRow): void {
    switch (row[0]) {
      case "queue":
        return this.queues.putSync(row[1], row[2]);
      case "job":
        return this.jobs.putSync([row[1], row[2]], row[3]);
      case "state":
        this.states.putSync([row[1], row[2], row[3]], row[4]);
        return this.dues.putSync([row[1], row[2], row[4].due, row[3]], true);
      case "dead":
        return this.dead.putSync([row[1], row[2]], row[3]);
      case "key":
        this.#keys.set(row[1], row[2]);
    }
  }
}

/** A table that says how many bytes more, or fewer, its rows' jobs are. */
class WeighedTable<K extends [string, number], V extends { readonly job: Message }> extends SortedTable<K, V> {
  readonly #weigh: (bytes: number) => void;

  constructor(weigh: (bytes: number) => void) {
    super();
    this.#weigh = weigh;
  }

  override putSync(key: K, value: V): void {
    const before = this.get(key);
    super.putSync(key, value);
    this.#weigh(bytesOfJobs([value.job]) - (before ? bytesOfJobs([before.job]) : 0));
  }

  override removeSync(key: K): void {
    const before = this.get(key);
    super.removeSync(key);
    if (before) this.#weigh(-bytesOfJobs([before.job]));
  }
}

/** What jobs count for, in bytes. */
export function bytesOfJobs(jobs: readonly Message[]): number {
  return bytesOf(jobs) + jobs.length * OVERHEAD_BYTES;
}
