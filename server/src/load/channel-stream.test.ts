import assert from "node:assert/strict";
import { test } from "node:test";
import { ChannelStream } from "./channel-stream.ts";

const MESSAGE = "m".repeat(1000);

test("bytes match where they are whole messages, one or several", () => {
  const stream = new ChannelStream("c");
  for (const [i, text] of ["one", "two", "three"].entries()) {
    stream.append(Buffer.from(text), 0, text.length, i, 100 + i);
  }
  const matched = (index: number, text: string): number =>
    stream.match(index, Buffer.from(text), 0, Buffer.byteLength(text));
  assert.equal(matched(0, "one"), 1);
  assert.equal(matched(0, "one\ntwo\nthree"), 3);
  assert.equal(matched(1, "two\nthree"), 3);
  assert.equal(matched(0, "one\ntw"), -1, "half a message");
  assert.equal(matched(0, "one\ntoo"), -1);
  assert.equal(matched(3, "four"), -1, "nothing is there yet");
  assert.deepEqual([stream.sequenceAt(2), stream.dueAt(2)], [2, 102]);
});

test("it forgets the oldest and keeps its numbers", () => {
  const stream = new ChannelStream("c");
  const bytes = Buffer.from(MESSAGE);
  for (let i = 0; i < 20_000; i++) stream.append(bytes, 0, bytes.length, i, i);
  assert.equal(stream.end, 20_000);
  assert.ok(stream.first > 0);
  assert.equal(stream.match(stream.first - 1, bytes, 0, bytes.length), -1);
  assert.equal(stream.match(stream.first, bytes, 0, bytes.length), stream.first + 1);
  assert.equal(stream.sequenceAt(19_999), 19_999);
});
