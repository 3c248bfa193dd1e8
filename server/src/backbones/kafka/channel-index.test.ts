import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ChannelIndex, type Taken } from "./channel-index.ts";
import type { Meaning } from "./records.ts";

function message(channel: string, key?: string, windowMs = 1000): Meaning {
  return { kind: "message", channel, message: { id: "", time: 0, data: "1" }, windowMs, ...(key && { key }) };
}

test("a repeated key is recognised inside its window, by the records' own times", () => {
  const index = new ChannelIndex(100);
  assert.equal(index.take(1, 0, message("a", "k")).kind, "message");
  assert.deepEqual(index.take(2, 999, message("a", "k")), { kind: "duplicate", offset: 2, of: 1 });
  assert.equal(index.take(3, 999, message("b", "k")).kind, "message", "a key belongs to its channel");
  assert.equal(index.take(4, 1000, message("a", "k")).kind, "message", "the window is over");
  assert.deepEqual(index.take(5, 1500, message("a", "k")), { kind: "duplicate", offset: 5, of: 4 });
  assert.deepEqual([index.repeatOf(2), index.repeatOf(5), index.repeatOf(4)], [1, 4, undefined]);
  assert.deepEqual(index.state("a"), { offsets: [1, 4], head: 4, trimmed: 0 });
});

test("a repeated key is recognised so many positions back and no further", () => {
  const index = new ChannelIndex(10);
  index.take(1, 0, message("a", "k"));
  assert.equal(index.take(11, 0, message("a", "k")).kind, "duplicate");
  assert.equal(index.take(12, 0, message("a", "k")).kind, "message");
});

test("what was trimmed or removed is told, and an index that starts late knows that it does not know", () => {
  const index = new ChannelIndex(10);
  for (const offset of [1, 3, 5]) index.take(offset, 0, message("a"));
  index.trim(4);
  assert.deepEqual(index.state("a"), { offsets: [5], head: 5, trimmed: 3 });
  index.take(6, 0, { kind: "remove", channel: "a" });
  assert.deepEqual(index.state("a"), { offsets: [], head: 5, trimmed: 5 });
  assert.deepEqual(index.state("never"), { offsets: [], head: 0, trimmed: 0 });
  index.reset(7);
  assert.deepEqual(index.state("a"), { offsets: [], head: 7, trimmed: 7 });
  assert.deepEqual(index.take(9, 0, message("a")), { kind: "message", offset: 9, prev: 7 });
});

test("whoever reads the same records comes to the same answers, however clocks jump between them", () => {
  const record = fc.record({
    channel: fc.constantFrom("a", "b"),
    key: fc.constantFrom(undefined, "k", "l", "m"),
    time: fc.integer({ min: 0, max: 5000 }),
    windowMs: fc.constantFrom(0, 500, 3000),
    skip: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 60 }), (records) => {
      const one = new ChannelIndex(20);
      const kept: { channel: string; key: string; offset: number; time: number }[] = [];
      let offset = 0;
      for (const { channel, key, time, windowMs, skip } of records) {
        offset += skip;
        const taken: Taken = one.take(offset, time, message(channel, key, windowMs));
        // The rule as the docs state it, without any bookkeeping.
        const first = kept.filter((earlier) => earlier.channel === channel && earlier.key === key).at(-1);
        const repeats = first !== undefined && time - first.time < windowMs && offset - first.offset <= 20;
        assert.equal(taken.kind, repeats ? "duplicate" : "message");
        if (taken.kind === "duplicate") assert.equal(taken.of, first?.offset);
        else if (key !== undefined) kept.push({ channel, key, offset, time });
      }
    }),
  );
});

test("an index that was dumped and restored goes on as if nothing had been", () => {
  const step = fc.record({
    channel: fc.constantFrom("a", "b", 'odd "name"'),
    key: fc.constantFrom(undefined, "k", "l"),
    what: fc.constantFrom("message", "message", "message", "remove", "trim"),
    time: fc.integer({ min: 0, max: 3000 }),
  });
  const apply = (
    index: ChannelIndex,
    steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
    from: number,
  ) =>
    steps.map(({ channel, key, what, time }, i) => {
      const offset = from + i + 1;
      if (what === "trim") index.trim(offset - 3);
      return index.take(offset, time, what === "remove" ? { kind: "remove", channel } : message(channel, key));
    });
  fc.assert(
    fc.property(fc.array(step), fc.array(step), fc.integer({ min: 1, max: 200 }), (before, after, characters) => {
      const one = new ChannelIndex(10);
      apply(one, before, 0);
      const other = new ChannelIndex(10);
      for (const text of one.dump(characters)) other.restore(text);
      assert.deepEqual(apply(other, after, before.length), apply(one, after, before.length));
      for (const channel of ["a", "b", 'odd "name"']) assert.deepEqual(other.state(channel), one.state(channel));
    }),
  );
});
