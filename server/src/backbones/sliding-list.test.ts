import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { SlidingList } from "./sliding-list.ts";

test("a sliding list is an array to which is pushed and from which is shifted", () => {
  const pushOrShift = fc.array(fc.oneof(fc.constant("shift" as const), fc.integer()), { maxLength: 200 });
  fc.assert(
    fc.property(pushOrShift, (steps) => {
      const list = new SlidingList<number>();
      const model: number[] = [];
      for (const step of steps) {
        if (step === "shift") assert.equal(list.shift(), model.shift());
        else {
          list.push(step);
          model.push(step);
        }
        assert.equal(list.length, model.length);
        assert.deepEqual(
          Array.from({ length: list.length }, (_, i) => list.at(i)),
          model,
        );
        assert.equal(list.at(-1), undefined);
        assert.equal(list.at(model.length), undefined);
      }
    }),
  );
});
