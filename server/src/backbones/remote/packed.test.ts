import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { AppendOptions, Frame, Message } from "../contract.ts";
import { packAppend, packFrame, unpackAppend, unpackMessage } from "./packed.ts";
import type { Item } from "./wire.ts";

const text = fc.string({ unit: "binary" });
const count = fc.nat();
const plain = { noNullPrototype: true };
const maybe = { requiredKeys: [], noNullPrototype: true };

const message: fc.Arbitrary<Message> = fc.record(
  {
    id: text,
    time: count,
    data: text,
    info: fc.record({ user: text, client: text }, plain),
    tags: fc.dictionary(fc.constantFrom("a", "b"), text, { noNullPrototype: true }),
  },
  { requiredKeys: ["id", "time", "data"], noNullPrototype: true },
);
const options: fc.Arbitrary<AppendOptions> = fc.record(
  {
    retention: fc.record({ ageMs: count, messages: count, bytes: count }, maybe),
    dedupe: fc.record({ key: text, windowMs: count }, plain),
  },
  { requiredKeys: ["retention"], noNullPrototype: true },
);
const position = fc.record({ epoch: text, offset: count }, plain);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ kind: fc.constant("message" as const), message }, plain),
  fc.record(
    { kind: fc.constant("message" as const), message, position, prev: count },
    { requiredKeys: ["kind", "message", "position"], noNullPrototype: true },
  ),
);

/** As it comes out at the other end. */
const sent = (item: unknown): Item => JSON.parse(JSON.stringify(item)) as Item;

test("an append is the same on the other side, whatever of it is absent", () => {
  fc.assert(
    fc.property(text, message, options, (channel, message, options) => {
      assert.deepEqual(unpackAppend(sent(packAppend(channel, message, options))), [channel, message, options]);
    }),
  );
});

test("a message's frame is the same on the other side, whatever of it is absent", () => {
  fc.assert(
    fc.property(text, frame, (channel, frame) => {
      const item = sent(packFrame(channel, frame));
      assert.equal(item[1], channel);
      assert.deepEqual(unpackMessage(item), frame);
    }),
  );
});
