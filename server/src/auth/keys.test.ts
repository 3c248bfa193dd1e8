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

test("texts of any length and any characters are compared without a fault", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 3000 }), (text) => {
      assert.equal(keys.identify({ "x-api-key": text }), undefined);
    }),
  );
});
