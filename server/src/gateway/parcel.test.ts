import assert from "node:assert/strict";
import { test } from "node:test";
import { Parcel } from "./parcel.ts";

const FRAMES = ["{}", '{"a":"€ 𝄞"}', '{"b":"\u00e9"}'];
const WHOLE = FRAMES.join("\n");

function joined(frames: readonly string[]): Parcel {
  const [first = "", ...others] = frames;
  return others.reduce((parcel, frame) => parcel.with(new Parcel(frame)), new Parcel(first));
}

test("text, bytes and what is written are the same frames, a newline between, counted in bytes", () => {
  const parcel = joined(FRAMES);
  const target = Buffer.alloc(parcel.size + 2, ".");
  parcel.writeTo(target, 1);
  assert.deepEqual(
    [parcel.text, Buffer.from(parcel.bytes).toString(), target.toString()],
    [WHOLE, WHOLE, `.${WHOLE}.`],
  );
  assert.deepEqual([parcel.size, parcel.frames], [Buffer.byteLength(WHOLE), 3]);
});

test("the same frames in the same order are the same parcel, and others are not", () => {
  const [first, second, third] = FRAMES.map((frame) => new Parcel(frame));
  assert.ok(first && second && third);
  const both = first.with(second);
  assert.equal(first.with(second), both);
  assert.equal(both.with(third), first.with(second).with(third));
  assert.equal(first.with(third).text, `${FRAMES[0]}\n${FRAMES[2]}`);
  assert.equal(both.text, `${FRAMES[0]}\n${FRAMES[1]}`);
});
