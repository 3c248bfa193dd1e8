/**
 * Batches of records as they lie in a partition (Kafka's message format 2), written and read in one go: the client library makes
 * several buffers, writers and bigints of each record, which cost more than all the rest of an append.
 */
import { compressionsAlgorithmsByBitmask, crc32c, Writer } from "@platformatic/kafka";
import type { NewRecord, PlacedRecord } from "./records.ts";
import { readVarint, sizeOfVarint, writeVarint, type At } from "./varint.ts";

/** Offset and length, which are not counted in the length. */
const PRELUDE_BYTES = 12;
const HEAD_BYTES = 61;
/** Where the fields of a batch begin. */
const FIELD = {
  firstOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTime: 27,
  maxTime: 35,
  producerId: 43,
  producerEpoch: 51,
  sequence: 53,
  count: 57,
} as const;
const MAGIC = 2;
const COMPRESSION = 0b111;
const LOG_APPEND_TIME = 1 << 3;
const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;
/** Instead of a length. */
const NULL = -1;

/** Whose batch it is, by which the brokers know one that is sent again. */
export interface BatchName {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly sequence: number;
}

/** `now` is the time of records without one; in ms since 1970. At least one record. */
export function encodeBatch(
  records: readonly NewRecord[],
  { producerId, producerEpoch, sequence }: BatchName,
  now: number,
): Buffer {
  const firstTime = records[0]?.timestamp ?? now;
  let maxTime = firstTime;
  let length = HEAD_BYTES;
  const sizes = records.map((record, i) => {
    const time = record.timestamp ?? now;
    if (time > maxTime) maxTime = time;
    const size = sizeOfRecord(record, time - firstTime, i);
    length += sizeOfVarint(size) + size;
    return size;
  });
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeBigInt64BE(0n, FIELD.firstOffset);
  bytes.writeInt32BE(length - PRELUDE_BYTES, FIELD.length);
  bytes.writeInt32BE(-1, FIELD.leaderEpoch);
  bytes.writeInt8(MAGIC, FIELD.magic);
  bytes.writeInt16BE(0, FIELD.attributes);
  bytes.writeInt32BE(records.length - 1, FIELD.lastOffsetDelta);
  bytes.writeBigInt64BE(BigInt(firstTime), FIELD.firstTime);
  bytes.writeBigInt64BE(BigInt(maxTime), FIELD.maxTime);
  bytes.writeBigInt64BE(producerId, FIELD.producerId);
  bytes.writeInt16BE(producerEpoch, FIELD.producerEpoch);
  bytes.writeInt32BE(sequence, FIELD.sequence);
  bytes.writeInt32BE(records.length, FIELD.count);
  let at = HEAD_BYTES;
  for (const [i, record] of records.entries()) {
    at = writeVarint(bytes, at, sizes[i] ?? 0);
    at = writeRecord(bytes, at, record, (record.timestamp ?? now) - firstTime, i);
  }
  // Wrapped: what is no buffer of the library's own is copied first.
  bytes.writeUInt32BE(crc32c(Writer.create().append(bytes.subarray(FIELD.attributes)).dynamicBuffer), FIELD.crc);
  return bytes;
}

function sizeOfRecord({ key, value, headers }: NewRecord, timeDelta: number, offsetDelta: number): number {
  let size = 1 + sizeOfVarint(timeDelta) + sizeOfVarint(offsetDelta) + sizeOfBytes(key) + sizeOfBytes(value);
  size += sizeOfVarint(headers?.size ?? 0);
  if (headers) for (const [name, text] of headers) size += sizeOfBytes(name) + sizeOfBytes(text);
  return size;
}

function writeRecord(
  into: Buffer,
  from: number,
  { key, value, headers }: NewRecord,
  timeDelta: number,
  offsetDelta: number,
): number {
  let at = from;
  into[at++] = 0;
  at = writeVarint(into, at, timeDelta);
  at = writeVarint(into, at, offsetDelta);
  at = writeBytes(into, at, key);
  at = writeBytes(into, at, value);
  at = writeVarint(into, at, headers?.size ?? 0);
  if (headers) for (const [name, text] of headers) at = writeBytes(into, writeBytes(into, at, name), text);
  return at;
}

function sizeOfBytes(bytes: Buffer | null): number {
  return bytes ? sizeOfVarint(bytes.length) + bytes.length : sizeOfVarint(NULL);
}

function writeBytes(into: Buffer, from: number, bytes: Buffer | null): number {
  const at = writeVarint(into, from, bytes ? bytes.length : NULL);
  if (!bytes) return at;
  into.set(bytes, at);
  return at + bytes.length;
}

/** A batch at its place in a partition. Its records are read when they are asked for. */
export class RecordBatch implements BatchName {
  readonly firstOffset: number;
  /** Of the leader that took it. */
  readonly leaderEpoch: number;
  readonly lastOffset: number;
  /** Of all of its records, in ms since 1970, where the broker has stamped them. */
  readonly appendTime: number | undefined;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly sequence: number;
  readonly count: number;
  readonly #bytes: Buffer;
  readonly #attributes: number;

  /** `bytes` are the batch's, from its first to its last. @throws Error for what is no batch. */
  constructor(bytes: Buffer) {
    const magic = bytes.length < HEAD_BYTES ? undefined : bytes.readInt8(FIELD.magic);
    if (magic !== MAGIC) throw new Error(`records of format ${magic} are not known`);
    this.#bytes = bytes;
    this.#attributes = bytes.readInt16BE(FIELD.attributes);
    this.firstOffset = Number(bytes.readBigInt64BE(FIELD.firstOffset));
    this.leaderEpoch = bytes.readInt32BE(FIELD.leaderEpoch);
    this.lastOffset = this.firstOffset + bytes.readInt32BE(FIELD.lastOffsetDelta);
    this.appendTime = this.#attributes & LOG_APPEND_TIME ? Number(bytes.readBigInt64BE(FIELD.maxTime)) : undefined;
    this.producerId = bytes.readBigInt64BE(FIELD.producerId);
    this.producerEpoch = bytes.readInt16BE(FIELD.producerEpoch);
    this.sequence = bytes.readInt32BE(FIELD.sequence);
    this.count = bytes.readInt32BE(FIELD.count);
  }

  /** What the brokers note for themselves. */
  get isControl(): boolean {
    return (this.#attributes & CONTROL) !== 0;
  }

  get isTransactional(): boolean {
    return (this.#attributes & TRANSACTIONAL) !== 0;
  }

  /** Those from `offset` on, in order. @throws Error for what cannot be read. */
  records(offset: number): readonly PlacedRecord[] {
    const firstTime = Number(this.#bytes.readBigInt64BE(FIELD.firstTime));
    const bytes = this.#unpacked();
    const at: At = { position: 0 };
    const found: PlacedRecord[] = [];
    for (let i = 0; i < this.count; i++) {
      const length = readVarint(bytes, at);
      const end = at.position + length;
      at.position++;
      const time = firstTime + readVarint(bytes, at);
      const place = this.firstOffset + readVarint(bytes, at);
      const key = readBytes(bytes, at);
      const value = readBytes(bytes, at);
      const headers: [Buffer | null, Buffer | null][] = [];
      for (let left = readVarint(bytes, at); left > 0 && at.position < end; left--)
        headers.push([readBytes(bytes, at), readBytes(bytes, at)]);
      if (at.position !== end || end > bytes.length)
        throw new Error(`the record at ${place} is not as long as it says`);
      if (place >= offset) found.push({ offset: place, time: this.appendTime ?? time, key, value, headers });
    }
    return found;
  }

  #unpacked(): Buffer {
    const bytes = this.#bytes.subarray(HEAD_BYTES);
    const compression = this.#attributes & COMPRESSION;
    if (compression === 0) return bytes;
    const algorithm = compressionsAlgorithmsByBitmask[compression];
    if (!algorithm) throw new Error(`compression ${compression} is not known`);
    return algorithm.decompressSync(bytes);
  }
}

/** The batches that lie behind each other in `bytes`; the last one may be cut off, and is left out then. @throws Error. */
export function decodeBatches(bytes: Buffer): readonly RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let from = 0; from + PRELUDE_BYTES <= bytes.length;) {
    const end = from + PRELUDE_BYTES + bytes.readInt32BE(from + FIELD.length);
    if (end > bytes.length) break;
    batches.push(new RecordBatch(bytes.subarray(from, end)));
    from = end;
  }
  return batches;
}

function readBytes(bytes: Buffer, at: At): Buffer | null {
  const length = readVarint(bytes, at);
  if (length < 0) return null;
  const from = at.position;
  at.position += length;
  return bytes.subarray(from, at.position);
}
