import assert from "node:assert/strict";
import { test } from "node:test";
import { inEpoch, sharedHistory } from "./position.ts";

const present = {
  epoch: "now",
  forks: [
    { epoch: "before", offset: 12 },
    { epoch: "long ago", offset: 5 },
  ],
};

test("R13 a position means its place in the present epoch up to where the histories part", () => {
  assert.deepEqual(inEpoch({ epoch: "now", offset: 99 }, present), { epoch: "now", offset: 99 });
  assert.deepEqual(inEpoch({ epoch: "before", offset: 12 }, present), { epoch: "now", offset: 12 });
  assert.equal(inEpoch({ epoch: "before", offset: 13 }, present), undefined);
  assert.deepEqual(inEpoch({ epoch: "long ago", offset: 0 }, present), { epoch: "now", offset: 0 });
  assert.equal(inEpoch({ epoch: "another life", offset: 0 }, present), undefined);
  assert.equal(inEpoch({ epoch: "before", offset: 1 }, { epoch: "now" }), undefined);
});

test("R13 epochs that share no history share it up to 0", () => {
  assert.equal(sharedHistory({ epoch: "before", offset: 40 }, present), 12);
  assert.equal(sharedHistory({ epoch: "another life", offset: 40 }, present), 0);
});
