/** What a fetch brought that is anybody's to see. */
import type { RecordBatch } from "./record-batch.ts";
import type { FetchedPartition } from "./record-calls.ts";
import type { PlacedRecord } from "./records.ts";

/** The batches of a fetch, in order; those of transactions that were aborted left out. `next` is where to go on. */
export function placedBatches(
  { batches, abortedTransactions }: FetchedPartition,
  from: number,
): { readonly batches: readonly RecordBatch[]; readonly next: number } {
  const aborted = abortedTransactions.toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  const abandoned = new Set<bigint>();
  let next = from;
  const placed = batches.filter((batch) => {
    while (aborted[0] && Number(aborted[0].firstOffset) <= batch.firstOffset)
      abandoned.add(aborted.shift()?.producerId ?? -1n);
    next = Math.max(next, batch.lastOffset + 1);
    if (batch.isControl) abandoned.delete(batch.producerId);
    return !batch.isControl && !(batch.isTransactional && abandoned.has(batch.producerId));
  });
  return { batches: placed, next };
}

/** As `placedBatches`, one by one. */
export function placedRecords(
  fetched: FetchedPartition,
  from: number,
): { readonly records: readonly PlacedRecord[]; readonly next: number } {
  const { batches, next } = placedBatches(fetched, from);
  return { records: batches.flatMap((batch) => batch.records(from)), next };
}
