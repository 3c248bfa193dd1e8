/** What was written here and was not read back yet: its bytes need not be read, for what its records mean is known. */
import type { BatchName, RecordBatch } from "./record-batch.ts";
import type { Meaning, NewRecord } from "./records.ts";

/** A lane has one under way; more where reading is behind. What is forgotten is read like anybody's. */
const MOST = 8;

export interface OwnRecord {
  /** In ms since 1970. */
  readonly time: number;
  readonly meaning: Meaning;
}

interface OwnBatch extends BatchName {
  readonly records: readonly OwnRecord[];
}

/** Of one partition. */
export class OwnBatches {
  /** The oldest first. */
  #batches: readonly OwnBatch[] = [];

  /** Said before the batch leaves. */
  add({ producerId, producerEpoch, sequence }: BatchName, records: readonly NewRecord[]): void {
    const known = records.flatMap(({ timestamp, meaning }) =>
      meaning && timestamp !== undefined ? [{ time: timestamp, meaning }] : [],
    );
    if (known.length < records.length) return;
    this.#batches = [...this.#batches, { producerId, producerEpoch, sequence, records: known }].slice(-MOST);
  }

  /** The records of a batch that was read; undefined if it is not known to have been written here. Those before it are forgotten. */
  find(batch: RecordBatch): readonly OwnRecord[] | undefined {
    // The brokers give the name of a producer once, and take the batch of a sequence once.
    const at = this.#batches.findIndex(
      ({ producerId, producerEpoch, sequence }) =>
        producerId === batch.producerId && producerEpoch === batch.producerEpoch && sequence === batch.sequence,
    );
    if (at === -1) return undefined;
    const records = this.#batches[at]?.records;
    this.#batches = this.#batches.slice(at + 1);
    const count = batch.lastOffset - batch.firstOffset + 1;
    return records?.length === count && batch.count === count ? records : undefined;
  }
}
