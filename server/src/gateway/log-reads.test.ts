import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "../backbones/contract.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { numbers } from "../test-gateway.ts";
import { LogReads } from "./log-reads.ts";

const log = (): Log => ({}) as Log;

test("so many pieces of a log are read at once and no more, in the order they were asked for, also behind one that fails", async () => {
  const reads = new LogReads(new ManualClock());
  const [slow, other] = [log(), log()];
  const begun: number[] = [];
  const ends: PromiseWithResolvers<void>[] = [];
  const all = numbers(0, 99).map((n) =>
    reads.run(slow, () => {
      begun.push(n);
      return (ends[n] = Promise.withResolvers<void>()).promise;
    }),
  );
  await settle();
  assert.deepEqual(begun, numbers(0, 31));
  assert.equal(await reads.run(other, () => Promise.resolve("at once")), "at once");
  ends[7]?.reject(new Error("broken"));
  ends[3]?.resolve();
  await assert.rejects(all[7] ?? Promise.resolve(), /broken/);
  await settle();
  assert.deepEqual(begun, numbers(0, 33));
  for (let n = 0; n < 100; n++) {
    await settle();
    ends[n]?.resolve();
  }
  await Promise.all(all.filter((_, n) => n !== 7));
  assert.deepEqual(begun, numbers(0, 99));
});
