import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { tooDeep } from "./depth.ts";

test("F10 the depth agrees with a plain recursive count", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 7 }), (value, depth) => {
      assert.equal(tooDeep(value, depth), depthOf(value) > depth);
    }),
    { numRuns: 2000 },
  );
});

test("F10 no depth overflows the stack", () => {
  let value: unknown = 1;
  for (let i = 0; i < 200_000; i++) value = [value];
  assert.equal(tooDeep(value, 64), true);
  assert.equal(tooDeep(value, 300_000), false);
});

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
