import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { glob } from "./glob.ts";

const letters = fc.string({ unit: fc.constantFrom("a", "b", "*", "."), maxLength: 12 });

test("a glob fits what the regular expression with .* for each star fits", () => {
  fc.assert(
    fc.property(letters, letters, (pattern, text) => {
      const expression = new RegExp(`^${pattern.replaceAll(".", String.raw`\.`).replaceAll(/\*+/g, ".*")}$`);
      assert.equal(glob(pattern)(text), expression.test(text), `${pattern} on ${text}`);
    }),
    { numRuns: 2000 },
  );
});

test("a pattern that a regular expression would try for years is answered at once", () => {
  assert.equal(glob(`${"*a".repeat(100)}*b`)("a".repeat(255)), false);
});
