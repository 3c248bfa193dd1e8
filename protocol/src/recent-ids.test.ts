import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentIds } from "./recent-ids.ts";

test("a message is new once, as long as it is among the last 64", () => {
  const recent = new RecentIds();
  const ids = Array.from({ length: 64 }, (_, i) => `m${i}`);
  assert.ok(ids.every((id) => recent.admit(id)));
  assert.ok(!ids.some((id) => recent.admit(id)), "all are remembered, and asking changes nothing");
  assert.ok(recent.admit("one more"));
  assert.ok(recent.admit("m0"), "the oldest is forgotten");
  assert.ok(!recent.admit("one more"));
});
