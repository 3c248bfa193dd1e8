/** One partition that is read: how far, what becomes of its records, and who waits for them. */
import type { BackboneError } from "../contract.ts";
import type { Topic } from "./cluster.ts";
import { placedBatches } from "./placed-records.ts";
import type { RecordBatch } from "./record-batch.ts";
import type { FetchedPartition } from "./record-calls.ts";
import type { PlacedRecord } from "./records.ts";
import { Reigns } from "./reigns.ts";

/** What becomes of the records of a partition. */
export interface Reading {
  /** In the order of the log, each once. */
  take(record: PlacedRecord): void;
  /** Takes a whole batch, where it is known what is in it; false: its records are to be taken one by one. */
  takeOwn?(batch: RecordBatch): boolean;
  /** What is before `start` is not in the log any more. */
  trim(start: number): void;
  /** Resolves with where to go on, if something was kept of what was read earlier. */
  restore?(): Promise<number | undefined>;
  /** Everything before `start` is gone and was never taken: what was read so far is to be forgotten. */
  reset(start: number): void;
  /**
   * The log was cut back behind its reader: only what is before `shared` is still what was taken. Nothing more comes. Absent: what
   * was read is forgotten, and it is read anew.
   */
  cut?(shared: number): void;
  /** Said before it is read anew: what was kept of what is not before `shared` is not to be restored. */
  distrust?(shared: number): void;
  /** Nothing may be left out: where the log begins later than reading stopped, it is restored again. */
  readonly whole?: true;
  /** Why no further record is to be taken: a person must look. */
  readonly fault?: BackboneError | undefined;
}

/** Who waits until everything before `offset` was taken. */
export interface Waiter {
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (error: BackboneError) => void;
  readonly cancel: () => void;
}

export interface FollowedOptions {
  readonly topic: Topic;
  readonly partition: number;
  readonly from: "earliest" | "latest";
  readonly reading: Reading;
}

/** One partition, followed while it is needed. Offsets are Kafka's. */
export class FollowedPartition {
  readonly topic: Topic;
  readonly partition: number;
  readonly from: "earliest" | "latest";
  readonly reading: Reading;
  /** The first that was not taken yet; undefined until it is known where to begin. */
  next: number | undefined;
  /** It has been read up to what was its end when it was begun or taken up again. */
  live = false;
  /** Nobody reads it before this is awaited. */
  catchingUp: Promise<void> | undefined;
  /** Its broker's fetch reads it. */
  joined = false;
  /** It is not read any more. */
  broken: BackboneError | undefined;
  readonly reigns: Reigns = new Reigns();
  usedAt = 0;
  holders = 0;
  readonly waiters: Set<Waiter> = new Set();

  constructor({ topic, partition, from, reading }: FollowedOptions) {
    this.topic = topic;
    this.partition = partition;
    this.from = from;
    this.reading = reading;
  }

  get lastEpoch(): number {
    return this.reigns.newest;
  }

  take(fetched: FetchedPartition): void {
    if (this.next === undefined) return;
    const start = Number(fetched.logStartOffset);
    const { batches, next } = placedBatches(fetched, this.next);
    for (const batch of batches) {
      if (batch.firstOffset >= this.next && this.reading.takeOwn?.(batch) === true) continue;
      for (const record of batch.records(this.next)) {
        this.reading.take(record);
        if (this.#isFaulty()) return;
      }
    }
    for (const { leaderEpoch, firstOffset } of fetched.batches) this.reigns.note(leaderEpoch, firstOffset);
    this.next = next;
    if (start > 0) this.reading.trim(start);
    for (const waiter of this.waiters) {
      if (waiter.offset > next) continue;
      this.waiters.delete(waiter);
      waiter.cancel();
      waiter.resolve();
    }
  }

  /** Takes up at the beginning of the log; whoever has read it knows nothing of what was before. */
  begin(start: number): void {
    this.next = start;
    this.reading.reset(start);
    this.#isFaulty();
  }

  #isFaulty(): boolean {
    const { fault } = this.reading;
    if (!fault) return false;
    this.broken = fault;
    this.fail(fault);
    return true;
  }

  fail(error: BackboneError): void {
    for (const waiter of this.waiters) {
      waiter.cancel();
      waiter.reject(error);
    }
    this.waiters.clear();
  }
}
