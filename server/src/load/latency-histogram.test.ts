import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { LatencyHistogram } from "./latency-histogram.ts";

test("a percentile is that of the values themselves, to 1/64", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 ** 36 }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const histogram = new LatencyHistogram();
        for (const value of values) histogram.add(value);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
        const found = histogram.at(share);
        assert.ok(found >= exact && found <= exact * (1 + 1 / 64) + 1, `${found} for ${exact}`);
        assert.equal(histogram.max, sorted.at(-1));
      },
    ),
  );
});

test("without values every percentile is 0, and so is what a clock makes negative", () => {
  const histogram = new LatencyHistogram();
  assert.equal(histogram.at(0.99), 0);
  histogram.add(-5);
  assert.deepEqual([histogram.at(0.5), histogram.max, histogram.count], [0, 0, 1]);
});
