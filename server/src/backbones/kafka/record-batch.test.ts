import assert from "node:assert/strict";
import { test } from "node:test";
import { compressionsAlgorithms, createRecordsBatch, NumericMap, type MessageRecord } from "@platformatic/kafka";
import * as fc from "fast-check";
import { decodeBatches, encodeBatch, type RecordBatch } from "./record-batch.ts";
import type { NewRecord } from "./records.ts";
import { readVarint, sizeOfVarint, writeVarint } from "./varint.ts";

const NAME = { producerId: 2n ** 40n + 7n, producerEpoch: 3, sequence: 2 ** 31 - 2 };
const NOW = 1_700_000_000_000;

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const near = fc.integer({ min: NOW - 1000, max: NOW + 1000 });
const recordsOf = (timestamp: fc.Arbitrary<number>): fc.Arbitrary<NewRecord[]> =>
  fc.array(
    fc.record(
      {
        key: bytes,
        value: fc.option(bytes),
        headers: fc.array(fc.tuple(bytes, bytes), { maxLength: 5 }).map((pairs) => new Map(pairs)),
        timestamp,
      },
      { requiredKeys: ["key", "value"] },
    ),
    { minLength: 1, maxLength: 150 },
  );

/** What a reader is to find. */
function placed(given: readonly NewRecord[]): readonly unknown[] {
  return given.map(({ key, value, headers, timestamp = NOW }, offset) => {
    return { offset, time: timestamp, key, value, headers: [...(headers ?? [])] };
  });
}

function only(batches: readonly RecordBatch[]): RecordBatch {
  const [batch] = batches;
  assert.ok(batch && batches.length === 1);
  return batch;
}

/** As the client library writes it. */
function libraryBatch(given: readonly NewRecord[], compression: keyof typeof compressionsAlgorithms = "none"): Buffer {
  const messages = given.map(({ timestamp = NOW, ...record }) => {
    return { ...record, timestamp: BigInt(timestamp), topic: "t", partition: 0 } as MessageRecord;
  });
  const sequences = new NumericMap([["t:0", NAME.sequence]]);
  return createRecordsBatch(messages, { ...NAME, sequences, compression }).buffer;
}

test("a batch is the one that the client library writes", () => {
  fc.assert(
    fc.property(recordsOf(near), (given) => {
      const [encoded, library] = [encodeBatch(given, NAME, NOW), libraryBatch(given)];
      assert.deepEqual(
        encoded.subarray(16),
        library.subarray(16),
        "from its format on: before it is what leaders fill in",
      );
    }),
  );
});

test("a batch is read as it was written, however far its times lie apart", () => {
  fc.assert(
    // The library's own numbers of 64 bits are wrong from 2^31 on.
    fc.property(recordsOf(fc.oneof(near, fc.integer({ min: 0, max: 2 ** 45 }))), (given) => {
      assert.deepEqual(only(decodeBatches(encodeBatch(given, NAME, NOW))).records(0), placed(given));
    }),
  );
});

test("of a batch its place, its name and its time are known before its records are read", () => {
  const given = [1, 2, 3].map((n) => ({ key: Buffer.from("k"), value: Buffer.from(String(n)), timestamp: NOW + n }));
  const encoded = encodeBatch(given, NAME, NOW);
  encoded.writeBigInt64BE(100n, 0);
  encoded.writeInt32BE(9, 12);
  const batch = only(decodeBatches(encoded));
  const { firstOffset, lastOffset, leaderEpoch, count, producerId, producerEpoch, sequence, appendTime } = batch;
  assert.deepEqual([firstOffset, lastOffset, leaderEpoch, count, appendTime], [100, 102, 9, 3, undefined]);
  assert.deepEqual({ producerId, producerEpoch, sequence }, NAME);
  assert.deepEqual(
    batch.records(101).map(({ offset, time }) => [offset, time]),
    [
      [101, NOW + 2],
      [102, NOW + 3],
    ],
  );
  encoded.writeInt16BE(1 << 3, 21);
  assert.deepEqual(
    only(decodeBatches(encoded))
      .records(0)
      .map(({ time }) => time),
    [NOW + 3, NOW + 3, NOW + 3],
    "the broker has stamped them",
  );
});

test("what was packed is unpacked", () => {
  const given = Array.from({ length: 20 }, (_, i) => ({ key: Buffer.from("k"), value: Buffer.from(`value ${i}`) }));
  for (const compression of ["gzip", "snappy", "lz4"] as const)
    assert.deepEqual(only(decodeBatches(libraryBatch(given, compression))).records(0), placed(given), compression);
});

test("a batch that is cut off is left out, and one that is broken is an error", () => {
  const given = [{ key: Buffer.from("key"), value: Buffer.from("value") }];
  const encoded = encodeBatch(given, NAME, NOW);
  const twice = Buffer.concat([encoded, encoded]);
  assert.equal(decodeBatches(twice).length, 2);
  for (let length = 0; length < twice.length; length++)
    assert.equal(decodeBatches(twice.subarray(0, length)).length, Math.floor(length / encoded.length));
  for (let i = 61; i < encoded.length - "value".length - 1; i++) {
    const broken = Buffer.from(encoded);
    broken[i] = 0xff;
    const read = (): unknown => only(decodeBatches(broken)).records(0);
    // Attributes and contents may be anything; no length may be.
    if (i === 62 || (i >= 66 && i < 69)) assert.doesNotThrow(read);
    else assert.throws(read, /not as long as it says/, String(i));
  }
});

test("numbers are read as they were written, as long as they were said to be", () => {
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.integer({ min: -200, max: 200 })), (value) => {
      // What lies beyond loses its lowest bit by the sign's.
      const number = Math.trunc(value / 2) + 0;
      const into = Buffer.alloc(12);
      const end = writeVarint(into, 1, number);
      assert.equal(end - 1, sizeOfVarint(number));
      const at = { position: 1 };
      assert.equal(readVarint(into, at), number);
      assert.equal(at.position, end);
    }),
  );
});
