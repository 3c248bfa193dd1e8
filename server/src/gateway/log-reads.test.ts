import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "../backbones/contract.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { numbers } from "../test-gateway.ts";
import { LogReads } from "./log-reads.ts";

const log = (): Log => ({}) as Log;

const MB = 1024 * 1024;

test("so much of a log is read at once and no more, in the order it was asked for, also behind what fails", async () => {
  const reads = new LogReads(new ManualClock());
  const [large, other] = [log(), log()];
  const size = (bytes: number): number => bytes;
  const begun: number[] = [];
  const ends: PromiseWithResolvers<number>[] = [];
  const read = (n: number): Promise<number> => {
    begun.push(n);
    return (ends[n] = Promise.withResolvers<number>()).promise;
  };
  // What a log's pieces are like is learned from them.
  for (let i = 0; i < 100; i++) await reads.run(large, () => Promise.resolve(MB), size);
  await settle();
  const all = numbers(0, 29).map((n) => reads.run(large, () => read(n), size));
  await settle();
  assert.deepEqual(begun, numbers(0, 7));
  assert.equal(await reads.run(other, () => Promise.resolve(5), size), 5, "another log's are none of theirs");
  ends[7]?.reject(new Error("broken"));
  ends[3]?.resolve(MB);
  await assert.rejects(all[7] ?? Promise.resolve(), /broken/);
  await settle();
  assert.deepEqual(begun, numbers(0, 9));
  for (let n = 0; n < 30; n++) {
    await settle();
    ends[n]?.resolve(MB);
  }
  await Promise.all(all.filter((_, n) => n !== 7));
  assert.deepEqual(begun, numbers(0, 29));
  // Larger than all together may be: alone.
  const [first, second] = [reads.run(large, () => read(30), size), reads.run(large, () => read(31), size)];
  ends[30]?.resolve(1000 * MB);
  await settle();
  const third = reads.run(large, () => read(32), size);
  ends[31]?.resolve(1);
  await second;
  await settle();
  ends[32]?.resolve(1);
  assert.deepEqual(await Promise.all([first, third]), [1000 * MB, 1]);
});
