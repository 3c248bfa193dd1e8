import assert from "node:assert/strict";
import { test } from "node:test";
import { Restarts } from "./restarts.ts";

const long = { lastedMs: 60_000, ready: true };
const short = { lastedMs: 200, ready: true };
const stillborn = { lastedMs: 200, ready: false };

test("who dies after a long life is followed at once, who dies young later each time", () => {
  const restarts = new Restarts();
  assert.equal(restarts.after(long), 0);
  assert.deepEqual(Array.from({ length: 9 }, () => restarts.after(short)).slice(0, 4), [100, 200, 400, 800]);
  assert.equal(restarts.after(short), 10_000);
  assert.equal(restarts.after(long), 0);
});

test("who never comes to work is given up, who does now and then is not", () => {
  const restarts = new Restarts();
  for (let i = 0; i < 5; i++) assert.notEqual(restarts.after(stillborn), undefined);
  assert.notEqual(restarts.after(short), undefined);
  for (let i = 0; i < 5; i++) assert.notEqual(restarts.after(stillborn), undefined);
  assert.equal(restarts.after(stillborn), undefined);
});
