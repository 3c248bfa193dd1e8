import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ApiKeys } from "./keys.ts";

const keys = new ApiKeys([
  { id: "one", key: "the-key-of-the-first-caller" },
  { id: "two", key: "the-key-of-the-second-caller" },
]);

test("a key is known by its id, in either header", () => {
  assert.equal(keys.identify({ "x-api-key": "the-key-of-the-first-caller" }), "one");
  assert.equal(keys.identify({ authorization: "apikey the-key-of-the-second-caller" }), "two");
  assert.equal(keys.identify({ authorization: "ApiKey the-key-of-the-second-caller" }), "two");
});

test("nothing else is", () => {
  for (const headers of [
    {},
    { "x-api-key": "" },
    { "x-api-key": "the-key-of-the-first-calle" },
    { "x-api-key": "the-key-of-the-first-caller " },
    { authorization: "the-key-of-the-first-caller" },
    { authorization: "apikey" },
    { authorization: "apikey  the-key-of-the-first-caller" },
    { authorization: "bearer the-key-of-the-first-caller" },
    { authorization: "basic dGhlLWtleS1vZi10aGUtZmlyc3QtY2FsbGVy" },
  ]) {
    assert.equal(keys.identify(headers), undefined, JSON.stringify(headers));
  }
  assert.equal(new ApiKeys([]).identify({ "x-api-key": "" }), undefined);
});

test("a key is neither its beginning nor what goes on behind it, whichever is the longest", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });
  const texts = fc.oneof(
    fc.tuple(text, text),
    fc.tuple(text, fc.string({ unit: fc.constantFrom("\0", "a"), maxLength: 3 })),
  );
  fc.assert(
    fc.property(texts, text, ([key, other], longest) => {
      const keys = new ApiKeys([
        { id: "longest", key: `${key}${other}${longest}!` },
        { id: "one", key },
      ]);
      const alone = new ApiKeys([{ id: "one", key }]);
      for (const given of [key, other, key + other, other + key, key]) {
        const right = Buffer.from(given).equals(Buffer.from(key)) ? "one" : undefined;
        assert.deepEqual(
          [keys, alone].map((one) => one.identify({ "x-api-key": given })),
          [right, right],
        );
      }
    }),
  );
});

test("texts of any length and any characters are compared without a fault", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 3000 }), (text) => {
      assert.equal(keys.identify({ "x-api-key": text }), undefined);
    }),
  );
});
