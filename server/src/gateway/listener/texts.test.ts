import assert from "node:assert/strict";
import { test } from "node:test";
import { Texts } from "./texts.ts";

test("a frame's text is that frame's, whatever was asked for before", () => {
  const texts = new Texts();
  const [a, b] = [Buffer.from('{"a":"€ 𝄞"}'), Buffer.from("{}")];
  for (const frame of [a, a, b, a]) assert.equal(texts.of(frame), frame.toString());
});
