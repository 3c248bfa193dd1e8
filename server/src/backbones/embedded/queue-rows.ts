/** The rows of queues, beside the messages in the same LMDB environment, and so in the same transactions. */
import type { Database, RootDatabase } from "lmdb";
import type { DeadRow, JobRow, QueueRow, QueueTables, StateRow } from "../local-queue/tables.ts";
import type { KeyRow } from "./store.ts";

export class QueueRows implements QueueTables {
  readonly queues: Database<QueueRow, string>;
  readonly jobs: Database<JobRow, [string, number]>;
  readonly states: Database<StateRow, [string, string, number]>;
  readonly dues: Database<true, [string, string, number, number]>;
  readonly dead: Database<DeadRow, [string, number]>;
  readonly #keys: Database<KeyRow, [string, string]>;
  readonly #expiries: Database<true, [number, string, string]>;

  /** A queue's idempotency keys lie among those of the channels: no channel has a queue's name. */
  constructor(
    root: RootDatabase<unknown, string>,
    keys: Database<KeyRow, [string, string]>,
    expiries: Database<true, [number, string, string]>,
  ) {
    this.queues = root.openDB({ name: "queues" });
    this.jobs = root.openDB({ name: "jobs" });
    this.states = root.openDB({ name: "job-states" });
    this.dues = root.openDB({ name: "job-dues" });
    this.dead = root.openDB({ name: "dead-letters" });
    this.#keys = keys;
    this.#expiries = expiries;
  }

  get all(): readonly Pick<Database, "getStats">[] {
    return [this.queues, this.jobs, this.states, this.dues, this.dead];
  }

  knows(queue: string, key: string, now: number): boolean {
    return (this.#keys.get([queue, key])?.[1] ?? 0) > now;
  }

  remember(queue: string, key: string, windowMs: number, now: number): void {
    const until = now + windowMs;
    this.#keys.putSync([queue, key], [0, until]);
    this.#expiries.putSync([until, queue, key], true);
  }
}
