/** The rows of queues in memory. */
import { SortedTable } from "./sorted-table.ts";
import type { DeadRow, JobRow, QueueRow, QueueTables, StateRow, Table } from "./tables.ts";

export class MemoryQueueTables implements QueueTables {
  readonly queues: Table<string, QueueRow> = new SortedTable();
  readonly jobs: Table<[string, number], JobRow> = new SortedTable();
  readonly states: Table<[string, string, number], StateRow> = new SortedTable();
  readonly dues: Table<[string, string, number, number], true> = new SortedTable();
  readonly dead: Table<[string, number], DeadRow> = new SortedTable();
  /** Idempotency key → until when it is remembered, in the order of their first use. */
  readonly #keys = new Map<string, number>();

  seen(queue: string, key: string, windowMs: number, now: number): boolean {
    for (const [known, until] of this.#keys) {
      if (until > now) break;
      this.#keys.delete(known);
    }
    const id = JSON.stringify([queue, key]);
    if ((this.#keys.get(id) ?? 0) > now) return true;
    this.#keys.delete(id);
    this.#keys.set(id, now + windowMs);
    return false;
  }
}
