import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { paint } from "./paint.ts";
import { lineOf } from "./printed-message.ts";

test("a line has the time, the channel, the offset, the data and the tags", () => {
  const time = new Date(2001, 1, 3, 4, 5, 6, 7).getTime();
  const message = { channel: "chat:1", data: { a: [1, "x", null, true] }, offset: 7, time, tags: { k: "v" } };
  assert.equal(lineOf(message, paint(false)), '2001-02-03 04:05:06.007  chat:1  7  {"a": [1, "x", null, true]}  k=v');
  assert.equal(lineOf({ channel: "a", data: 1, redelivered: true }, paint(false)), "a  again  1");
});

test("no message commands the terminal, and each stays on its line", () => {
  const nasty = fc.string({
    unit: fc.constantFrom("\u001b[2J", "\u009b", "\n", "\u202e", "a", "\u007f", "\u2028", "€"),
  });
  fc.assert(
    fc.property(nasty, nasty, nasty, (text, key, tag) => {
      const line = lineOf({ channel: "a", data: { [key]: [text] }, tags: { [tag]: text } }, paint(false));
      assert.doesNotMatch(line, /[\p{Cc}\u2028-\u202e]/u);
    }),
  );
});
