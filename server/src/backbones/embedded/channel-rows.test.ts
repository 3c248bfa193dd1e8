/** What is remembered of the channels is what is on disk, whatever becomes of a transaction and however many channels there are. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { REMEMBERED } from "./channel-rows.ts";
import { appendRow, channelsOf } from "./rows.ts";
import { Store } from "./store.ts";

const RETENTION = { ageMs: 60_000, messages: 10, bytes: 1000 };

async function openStore(t: TestContext): Promise<Store> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-channels-"));
  const store = await Store.open("local", folder, () => "epoch");
  t.after(async () => {
    await store.root.close();
    await rm(folder, { recursive: true });
  });
  return store;
}

function append(store: Store, channel: string): number {
  return appendRow(store, channel, { id: "m", time: 1, data: "1" }, { retention: RETENTION }, 1).offset;
}

test("of a transaction that fails nothing is remembered, be the channel new or not", async (t) => {
  const store = await openStore(t);
  store.transactionSync(() => append(store, "old"));
  const before = { ...store.channels.get("old") };
  assert.throws(
    () =>
      store.transactionSync(() => {
        for (const channel of ["old", "old", "new"]) append(store, channel);
        throw new TypeError("this one is bad");
      }),
    { message: "this one is bad" },
  );
  assert.deepEqual(store.channels.get("old"), before);
  assert.equal(store.channels.get("new"), undefined);
  assert.deepEqual(
    store.transactionSync(() => [append(store, "old"), append(store, "new")]),
    [2, 1],
  );
});

test("a channel that was forgotten goes on where it was, with its retention", async (t) => {
  const store = await openStore(t);
  store.transactionSync(() => append(store, "c:0"));
  const { head, ...others } = store.channels.get("c:0") ?? { head: 0 };
  // Each time more than are remembered: what was recent becomes older, what was older is forgotten.
  for (const round of ["a", "b"]) {
    store.transactionSync(() => {
      for (let i = 0; i <= REMEMBERED; i++) store.channels.open(`${round}:${i}`);
    });
  }
  assert.deepEqual(store.channels.get("c:0"), { head, ...others });
  assert.equal(
    store.transactionSync(() => append(store, "c:0")),
    2,
  );
  assert.deepEqual(store.channels.get("c:0"), { ...others, head: 2, bytes: 2 });
  assert.deepEqual(channelsOf(store, "a"), { channels: [] });
  assert.deepEqual(channelsOf(store, "c"), { channels: ["c:0"] });
});
