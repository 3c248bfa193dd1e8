/** The rows of queues that a store in the gateway's own process keeps, and what it must offer to hold them. */
import type { Message } from "../contract.ts";

export interface TableRange<K> {
  readonly start: K;
  /** Exclusive. */
  readonly end: K;
  readonly limit?: number;
}

/** A table sorted by its keys, part by part. It is read and written within one transaction. */
export interface Table<K, V> {
  get(key: K): V | undefined;
  /** Reads no value: a job's may be long. */
  doesExist(key: K): boolean;
  putSync(key: K, value: V): unknown;
  removeSync(key: K): unknown;
  getRange(range: TableRange<K>): Iterable<{ key: K; value: V }>;
  getKeysCount(range: TableRange<K>): number;
}

export interface JobRow {
  readonly job: Message;
  readonly deliverAt?: number;
  readonly expiresAt?: number;
}

export interface GroupRow {
  readonly name: string;
  /** The group has looked at every job up to this number. */
  cursor: number;
  /** Numbers above the cursor that no job has. */
  holes: number;
  leased: number;
  later: number;
  dead: number;
}

export interface QueueRow {
  /** Number of the newest job. */
  head: number;
  jobs: number;
  paused: boolean;
  /** Number of the newest dead letter. */
  lastDead: number;
  groups: GroupRow[];
}

/** A job that a group has looked at and not done. */
export interface StateRow {
  attempts: number;
  /** Present while it is leased. */
  lease?: string;
  /** When the lease or the delay ends. */
  due: number;
}

export interface DeadRow {
  readonly number: number;
  readonly group: string;
  readonly job: Message;
  readonly attempts: number;
  readonly time: number;
  readonly reason: string;
}

export interface QueueTables {
  readonly queues: Table<string, QueueRow>;
  /** `[queue, number]`. */
  readonly jobs: Table<[string, number], JobRow>;
  /** `[queue, group, number]`. */
  readonly states: Table<[string, string, number], StateRow>;
  /** `[queue, group, due, number]`: the states in the order in which something becomes of them. */
  readonly dues: Table<[string, string, number, number], true>;
  /** `[queue, number of the dead letter]`. */
  readonly dead: Table<[string, number], DeadRow>;
  /** Whether the key was remembered, and its window is not over. */
  knows(queue: string, key: string, now: number): boolean;
  remember(queue: string, key: string, windowMs: number, now: number): void;
}
