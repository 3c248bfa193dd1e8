import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "../backbones/contract.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { numbers } from "../test-gateway.ts";
import { LogReads } from "./log-reads.ts";

const log = (): Log => ({}) as Log;

const [KB, MB] = [1024, 1024 * 1024];

/** Reads whose log's pieces were found to be of `bytes` each, and one who asks for the `n`th, `n` being kept when it is its turn. */
async function knowing(
  bytes: number,
): Promise<{ reads: LogReads; asked: Log; ask: (n: number) => void; begun: number[] }> {
  const reads = new LogReads(new ManualClock());
  const asked = log();
  for (let i = 0; i < 100; i++) {
    await reads.take(asked);
    reads.done(asked, bytes);
    await settle();
  }
  const begun: number[] = [];
  const ask = (n: number): void => {
    const turn = reads.take(asked);
    if (turn) void turn.then(() => begun.push(n));
    else begun.push(n);
  };
  return { reads, asked, ask, begun };
}

/** Turns of the event loop until nothing new has come of some. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await settle(1);
}

test("so much of a log is under way at once and no more, in the order it was asked for, whatever becomes of it", async () => {
  const { reads, asked, ask, begun } = await knowing(MB);
  numbers(0, 29).forEach(ask);
  await turns(40);
  assert.deepEqual(begun, numbers(0, 7));
  assert.equal(reads.take(log()), undefined, "another log's are none of theirs");
  reads.done(asked);
  reads.done(asked, MB);
  await turns(10);
  assert.deepEqual(begun, numbers(0, 9));
  for (let n = 2; n < 30; n++) {
    reads.done(asked, MB);
    await turns(3);
  }
  assert.deepEqual(begun, numbers(0, 29));
});

test("a piece that is larger than all together may be is read alone", async () => {
  const { reads, asked, ask, begun } = await knowing(1000 * MB);
  numbers(0, 2).forEach(ask);
  await turns(10);
  assert.deepEqual(begun, [0]);
  reads.done(asked, 1000 * MB);
  await turns(10);
  assert.deepEqual(begun, [0, 1]);
});

test("of a log that answers at once so much is read in one turn of the event loop and no more", async () => {
  const { reads, asked, ask, begun } = await knowing(16 * KB);
  const perTurn: number[] = [];
  for (const n of numbers(0, 39)) ask(n);
  for (let read = 0; read < 40;) {
    // All whose turn has come are answered before anything else happens.
    const now = begun.length - read;
    for (; read < begun.length; read++) reads.done(asked, 16 * KB);
    perTurn.push(now);
    await turns(1);
  }
  assert.deepEqual(begun, numbers(0, 39));
  assert.ok(Math.max(...perTurn) <= 8, `${perTurn.join(", ")} in a turn`);
});
