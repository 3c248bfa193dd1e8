/** The two calls that carry records, `Produce` and `Fetch`: the library's, with batches as they are written and read here. */
import {
  fetchV13,
  fetchV15,
  fetchV16,
  fetchV17,
  produceV10,
  produceV11,
  produceV9,
  Writer,
  type Connection,
  type Reader,
} from "@platformatic/kafka";
import { decodeBatches, type RecordBatch } from "./record-batch.ts";

/** The versions that are known, the newest first; the contents are the same in all. */
export const PRODUCE = [produceV11, produceV10, produceV9] as const;
export const FETCH = [fetchV17, fetchV16, fetchV15, fetchV13] as const;

/** What a transaction has not committed is nobody's to see. */
export const COMMITTED = 1;

export interface EncodedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
}

/** What a leader says of one partition that was written to. */
export interface ProducedPartition {
  readonly errorCode: number;
  readonly baseOffset: bigint;
  readonly errorMessage: string | null | undefined;
}

/** What a leader says of one partition that was read. */
export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly logStartOffset: bigint;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[];
  readonly batches: readonly RecordBatch[];
  /** The record before the offset that was asked for is not there: of the epochs up to its, the log has this one, and it ends here. */
  readonly divergingEpoch?: { readonly epoch: number; readonly endOffset: bigint };
}

type ProduceAnswer = ReturnType<typeof produceV11.parseResponse>;

/** `timeoutMs`: so long the leader waits for the replicas. */
export function produce(
  connection: Connection,
  { api, parseResponse }: (typeof PRODUCE)[number],
  {
    acks,
    timeoutMs,
    batches,
  }: { readonly acks: number; readonly timeoutMs: number; readonly batches: readonly EncodedBatch[] },
): Promise<ProduceAnswer> {
  const request = (): Writer =>
    Writer.create()
      .appendString(null)
      .appendInt16(acks)
      .appendInt32(timeoutMs)
      .appendArray([...Map.groupBy(batches, ({ topic }) => topic)], (topics, [topic, ofTopic]) =>
        topics
          .appendString(topic)
          .appendArray(ofTopic, (partitions, { partition, bytes }) =>
            partitions.appendInt32(partition).appendBytes(bytes),
          ),
      )
      .appendTaggedFields();
  return new Promise((resolve, reject) =>
    connection.send<ProduceAnswer>(api.key, api.version, request, parseResponse, true, true, (error, answer) =>
      answer ? resolve(answer) : reject(error),
    ),
  );
}

export interface FetchWish {
  readonly waitMs: number;
  readonly maxBytes: number;
  readonly topics: Parameters<typeof fetchV17.createRequest>[6];
}

type Fetched = ReadonlyMap<string, ReadonlyMap<number, FetchedPartition>>;

/** By topic id and partition. With `waitMs` the answer waits so long for something to come. */
export function fetchRecords(
  connection: Connection,
  { api, createRequest }: (typeof FETCH)[number],
  { waitMs, maxBytes, topics }: FetchWish,
): Promise<Fetched> {
  const request = (): Writer => createRequest(waitMs, waitMs > 0 ? 1 : 0, maxBytes, COMMITTED, 0, -1, topics, [], "");
  return new Promise((resolve, reject) =>
    connection.send<Fetched>(api.key, api.version, request, readFetched, true, true, (error, answer) =>
      answer ? resolve(answer) : reject(error),
    ),
  );
}

/** @throws Error where the answer as a whole is an error, or cannot be read. */
function readFetched(_correlation: number, _key: number, _version: number, reader: Reader): Fetched {
  reader.readInt32();
  const errorCode = reader.readInt16();
  if (errorCode !== 0) throw new Error(`Kafka answers a fetch with error ${errorCode}`);
  reader.readInt32();
  const topics = reader.readArray((of) => {
    const id = of.readUUID();
    const partitions = of.readArray(readPartition, true, false);
    return [id, new Map(partitions.map((partition) => [partition.partition, partition]))] as const;
  });
  return new Map(topics);
}

function readPartition(reader: Reader): FetchedPartition {
  const partition = reader.readInt32();
  const errorCode = reader.readInt16();
  // Up to where it is stored by all replicas, and up to where no transaction is undecided.
  reader.readInt64();
  reader.readInt64();
  const logStartOffset = reader.readInt64();
  const abortedTransactions = reader.readArray((of) => ({ producerId: of.readInt64(), firstOffset: of.readInt64() }));
  // A replica that had better be read.
  reader.readInt32();
  const batches = decodeBatches(reader.readBytes());
  let divergingEpoch: FetchedPartition["divergingEpoch"];
  for (let left = reader.readUnsignedVarInt(); left > 0; left--) {
    const tag = reader.readUnsignedVarInt();
    const end = reader.readUnsignedVarInt() + reader.position;
    if (tag === 0) divergingEpoch = { epoch: reader.readInt32(), endOffset: reader.readInt64() };
    reader.position = end;
  }
  const found = { partition, errorCode, logStartOffset, abortedTransactions, batches };
  return divergingEpoch ? { ...found, divergingEpoch } : found;
}
