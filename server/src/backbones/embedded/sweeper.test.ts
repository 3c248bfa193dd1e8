/** Retention by age and the forgetting of keys: complete, bounded per transaction, and nothing is written for nothing. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { ManualClock } from "../../manual-clock.ts";
import { GroupCommit } from "./group-commit.ts";
import { sweep } from "./retention.ts";
import { appendRow, readRange } from "./rows.ts";
import { Store } from "./store.ts";
import { Sweeper } from "./sweeper.ts";

async function openStore(t: TestContext): Promise<{ store: Store; commits: GroupCommit; clock: ManualClock }> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-sweep-"));
  const store = await Store.open("local", folder, () => "epoch");
  const clock = new ManualClock();
  t.after(async () => {
    await store.root.close();
    await rm(folder, { recursive: true });
  });
  return { store, commits: new GroupCommit(store, clock, "local"), clock };
}

function fill(store: Store, clock: ManualClock, channels: number, each: number): void {
  store.transactionSync(() => {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < each; i++) {
        const message = { id: `${c}-${i}`, time: clock.now(), data: "1" };
        const dedupe = { key: String(i), windowMs: 60_000 };
        appendRow(store, `channel:${c}`, message, { retention: { ageMs: 60_000 }, dedupe }, clock.now());
      }
    }
  });
}

const rows = (store: Store): number[] => [
  store.messages.getCount(),
  ...store.keys.tables.map((table) => table.getCount()),
  store.dues.getCount(),
];

describe("the sweeper", () => {
  test("removes everything that is due however much it is, a bounded amount per transaction", async (t) => {
    const { store, commits, clock } = await openStore(t);
    fill(store, clock, 10, 700);
    assert.deepEqual(rows(store), [7000, 7000, 7000, 10]);
    const sweeper = new Sweeper(store, commits, clock);
    sweeper.start();
    const removed: number[] = [];
    const count = store.messages.getCount.bind(store.messages);
    let left = count();
    const alone = commits.alone.bind(commits);
    commits.alone = async (work) => {
      const result = await alone(work);
      removed.push(left - count());
      left = count();
      return result;
    };
    await clock.advance(62_000);
    assert.deepEqual(rows(store), [0, 0, 0, 0]);
    assert.ok(removed.length >= 4 && removed.every((one) => one <= 2000), String(removed));
    const { head, trimmed } = readRange(store, "channel:3", { limit: 1 });
    assert.deepEqual([head, trimmed], [700, 700]);
    sweeper.stop();
    assert.equal(clock.waiting, 0);
  });

  test("does not write when nothing is due", async (t) => {
    const { store, commits, clock } = await openStore(t);
    fill(store, clock, 1, 10);
    const transactions = (): number => (store.root.getStats() as { lastTxnId: number }).lastTxnId;
    const earlier = transactions();
    const sweeper = new Sweeper(store, commits, clock);
    sweeper.start();
    await clock.advance(59_000);
    assert.equal(transactions(), earlier);
    sweeper.stop();
  });

  test("a sweep of one row leaves the rest for the next, and nothing that is younger", async (t) => {
    const { store, clock } = await openStore(t);
    const append = () =>
      store.transactionSync(() =>
        appendRow(store, "c", { id: "m", time: clock.now(), data: "1" }, { retention: { ageMs: 60_000 } }, clock.now()),
      );
    for (let i = 0; i < 3; i++) append();
    await clock.advance(30_000);
    append();
    append();
    await clock.advance(30_001);
    const kept: number[] = [];
    for (let more = true; more;) {
      more = store.transactionSync(() => sweep(store, clock.now(), 1));
      kept.push(store.messages.getCount());
    }
    assert.deepEqual(kept.slice(0, 3), [4, 3, 2]);
    assert.equal(kept.at(-1), 2);
    const { messages, trimmed } = readRange(store, "c", { limit: 10 });
    assert.deepEqual([messages.map(({ offset }) => offset), trimmed], [[4, 5], 3]);
  });

  test("a key that was stored again after its window keeps its new end", async (t) => {
    const { store, clock } = await openStore(t);
    const options = { retention: {}, dedupe: { key: "k", windowMs: 1000 } };
    const append = () =>
      store.transactionSync(() =>
        appendRow(store, "c", { id: "m", time: clock.now(), data: "1" }, options, clock.now()),
      );
    append();
    await clock.advance(1001);
    assert.equal(append().duplicate, false);
    store.transactionSync(() => sweep(store, clock.now(), 100));
    assert.equal(append().duplicate, true);
  });

  test("a limit that was lowered trims little by little, never more than asked", async (t) => {
    const { store, clock } = await openStore(t);
    const append = (retention: object) =>
      store.transactionSync(() =>
        appendRow(store, "c", { id: "m", time: clock.now(), data: "1" }, { retention }, clock.now()),
      );
    for (let i = 0; i < 250; i++) append({});
    append({ messages: 10 });
    assert.equal(store.messages.getCount(), 151);
    append({ messages: 10 });
    append({ messages: 10 });
    assert.equal(store.messages.getCount(), 10);
    assert.equal(readRange(store, "c", { limit: 1 }).messages[0]?.offset, 244);
  });

  test("what reading costs does not depend on how long the channel is", async (t) => {
    const { store, clock } = await openStore(t);
    fill(store, clock, 1, 5000);
    let visited = 0;
    const getRange = store.messages.getRange.bind(store.messages);
    store.messages.getRange = (options) => getRange(options).map((entry) => (visited++, entry));
    for (const after of [0, 2500, 4990]) {
      visited = 0;
      const { messages } = readRange(store, "channel:0", { after, limit: 5 });
      assert.equal(messages.length, 5);
      assert.ok(visited <= 6, `${visited} rows were looked at after ${after}`);
    }
  });
});
