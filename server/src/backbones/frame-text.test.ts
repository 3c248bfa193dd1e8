import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as check, json, oneof, property, boolean, string } from "fast-check";
import type { Frame } from "./contract.ts";
import { decodeFrame, encodeFrame } from "./frame-text.ts";

const message = { id: "1", time: 2, data: '{"a":1}', info: { user: "ann", client: "c" }, tags: { k: "v" } };

test("frames are what they were", () => {
  const frames: Frame[] = [
    { kind: "signal", signal: '{"join":{}}' },
    { kind: "message", message },
    { kind: "message", message, position: { epoch: "e", offset: 7 } },
    { kind: "message", message, position: { epoch: "e", offset: 7 }, prev: 0 },
  ];
  for (const frame of frames) assert.deepEqual(decodeFrame(encodeFrame(frame)), frame);
});

test("another program's JSON is foreign, and what is neither that nor a frame is malformed", () => {
  assert.deepEqual(decodeFrame('{"text":"hi"}'), { kind: "foreign", data: '{"text":"hi"}' });
  const malformed = [
    "",
    "hi",
    "todoku1",
    "todoku1{}",
    "todoku1null",
    'todoku1{"kind":"message"}',
    'todoku1{"kind":"signal"}',
  ];
  for (const text of malformed) assert.deepEqual(decodeFrame(text), { kind: "malformed" }, text);
  const wrong = { kind: "message", message, position: { epoch: "e", offset: "7" } };
  assert.deepEqual(decodeFrame(`todoku1${JSON.stringify(wrong)}`), { kind: "malformed" });
  assert.deepEqual(decodeFrame('todoku1{"kind":"interrupted"}'), { kind: "malformed" });
});

test("whatever comes over a bus, reading it does not throw", () => {
  check(
    property(oneof(string(), json()), boolean(), (text, marked) => {
      assert.equal(typeof decodeFrame(marked ? `todoku1${text}` : text).kind, "string");
    }),
  );
});
