import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Message } from "../contract.ts";
import { OwnBatches } from "./own-batches.ts";
import { decodeBatches, encodeBatch, type BatchName, type RecordBatch } from "./record-batch.ts";
import { meaningOf, recordOf, removalOf, type NewRecord } from "./records.ts";

const NOW = 1_700_000_000_000;

function nameOf(sequence: number, producerId = 5n): BatchName {
  return { producerId, producerEpoch: 0, sequence };
}

function recordsOf(...texts: readonly string[]): readonly NewRecord[] {
  return texts.map((text) => recordOf("chat:1", { id: text, time: NOW, data: JSON.stringify(text) }, undefined));
}

/** As it lies in the log. */
function read(name: BatchName, records: readonly NewRecord[]): RecordBatch {
  const [batch] = decodeBatches(encodeBatch(records, name, NOW));
  return batch ?? assert.fail();
}

test("a batch is known by its producer and sequence, once, and with it those before are forgotten", () => {
  const own = new OwnBatches();
  const records = recordsOf("a", "b");
  for (const sequence of [0, 2, 4]) own.add(nameOf(sequence), records);
  assert.equal(own.find(read(nameOf(2, 6n), records)), undefined, "another gateway's");
  assert.equal(own.find(read({ ...nameOf(2), producerEpoch: 1 }, records)), undefined);
  assert.deepEqual(
    own.find(read(nameOf(2), records))?.map(({ meaning }) => meaning),
    records.map(({ meaning }) => meaning),
  );
  assert.equal(own.find(read(nameOf(2), records)), undefined);
  assert.equal(own.find(read(nameOf(0), records)), undefined);
  assert.ok(own.find(read(nameOf(4), records)));
});

test("what may not be what was written is read", () => {
  const own = new OwnBatches();
  own.add(nameOf(0), recordsOf("a", "b"));
  assert.equal(own.find(read(nameOf(0), recordsOf("a"))), undefined, "something is gone from it");
  own.add(nameOf(2), [...recordsOf("a"), { key: Buffer.from("$epoch"), value: Buffer.from("{}") }]);
  assert.equal(own.find(read(nameOf(2), recordsOf("a", "b"))), undefined, "not all of it is known");
});

test("so many wait to be read back, and no more", () => {
  const own = new OwnBatches();
  for (let i = 0; i < 20; i++) own.add(nameOf(i), recordsOf("a"));
  const known = Array.from({ length: 20 }, (_, i) => own.find(read(nameOf(i), recordsOf("a"))) !== undefined);
  assert.deepEqual(known.indexOf(true), 12);
  assert.ok(known.slice(12).every(Boolean));
});

test("what a record is known to mean is what every reader takes it for", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });
  const odd = fc.oneof(text, fc.constantFrom("\ud800", "a\udc00b", ""));
  const message: fc.Arbitrary<Message> = fc.record(
    {
      id: odd,
      time: fc.oneof(fc.integer({ min: 0, max: 2 ** 45 }), fc.constantFrom(0.5, Number.NaN)),
      data: fc.oneof(
        fc.json(),
        // The text of a string as a program may have it that does not escape halves of pairs.
        fc.constantFrom('"\ud800"', '"ü"'),
      ),
      info: fc.record({ user: odd, client: odd }, { noNullPrototype: true }),
      tags: fc.dictionary(odd, odd, { noNullPrototype: true }),
    },
    { requiredKeys: ["id", "time", "data"], noNullPrototype: true },
  );
  const dedupe = fc.option(fc.record({ key: odd, windowMs: fc.constantFrom(0, 1, 600_000, -1, Number.NaN) }), {
    nil: undefined,
  });
  const channel = fc.constantFrom("chat:1", "chat:2", "chat:ü", "chat:");
  fc.assert(
    fc.property(channel, message, dedupe, (name, given, wish) => {
      for (const record of [recordOf(name, given, wish), removalOf(name, NOW)]) {
        // What is known of it need not be everything; what is known is so.
        if (!record.meaning) continue;
        const [placed] = read(nameOf(0), [record]).records(0);
        assert.ok(placed);
        assert.deepEqual(meaningOf(placed, "chat", 0), record.meaning);
        assert.equal(placed.time, record.timestamp);
      }
    }),
    { numRuns: 500 },
  );
});
