/** The rows of queues in memory. */
import type { Message } from "../contract.ts";
import { bytesOf } from "./facet.ts";
import { SortedTable } from "./sorted-table.ts";
import type { DeadRow, JobRow, QueueRow, QueueTables, StateRow, Table } from "./tables.ts";

/** What a job costs beside its data: its row, and those of the groups that have begun it. */
const OVERHEAD_BYTES = 512;

export class MemoryQueueTables implements QueueTables {
  readonly queues: Table<string, QueueRow> = new SortedTable();
  /** Of waiting jobs and dead letters, with what they cost beside their data. */
  bytes = 0;
  readonly jobs: Table<[string, number], JobRow> = new WeighedTable((bytes) => (this.bytes += bytes));
  readonly states: Table<[string, string, number], StateRow> = new SortedTable();
  readonly dues: Table<[string, string, number, number], true> = new SortedTable();
  readonly dead: Table<[string, number], DeadRow> = new WeighedTable((bytes) => (this.bytes += bytes));
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
