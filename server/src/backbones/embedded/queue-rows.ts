/** The rows of queues, beside the messages in the same LMDB environment, and so in the same transactions. */
import type { Database, RootDatabase } from "lmdb";
import type { DeadRow, JobRow, QueueRow, QueueTables, StateRow } from "../local-queue/tables.ts";
import type { KeyRows } from "./key-rows.ts";

export class QueueRows implements QueueTables {
  readonly queues: Database<QueueRow, string>;
  readonly jobs: Database<JobRow, [string, number]>;
  readonly states: Database<StateRow, [string, string, number]>;
  readonly dues: Database<true, [string, string, number, number]>;
  readonly dead: Database<DeadRow, [string, number]>;
  readonly #keys: KeyRows;

  constructor(root: RootDatabase<unknown, string>, keys: KeyRows) {
    this.queues = root.openDB({ name: "queues" });
    this.jobs = root.openDB({ name: "jobs" });
    this.states = root.openDB({ name: "job-states" });
    this.dues = root.openDB({ name: "job-dues" });
    this.dead = root.openDB({ name: "dead-letters" });
    this.#keys = keys;
  }

  get all(): readonly Pick<Database, "getStats">[] {
    return [this.queues, this.jobs, this.states, this.dues, this.dead];
  }

  knows(queue: string, key: string, now: number): boolean {
    return this.#keys.find(queue, key, now) !== undefined;
  }

  remember(queue: string, key: string, windowMs: number, now: number): void {
    this.#keys.remember(queue, key, 0, now + windowMs);
  }
}
