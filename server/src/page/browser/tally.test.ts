import assert from "node:assert/strict";
import { test } from "node:test";
import { Tally, type Arrival } from "./tally.ts";

function arrival(id: string, offset?: number): Arrival {
  return { id, text: id, from: "test", redelivered: false, ...(offset !== undefined && { offset }) };
}

test("what nobody listened to is lost at once on a channel that keeps nothing", () => {
  const tally = new Tally("at-most-once", 0);
  tally.here = true;
  tally.sent({ id: "a", at: 1 }, 1);
  tally.arrived(arrival("a"));
  tally.here = false;
  tally.sent({ id: "b", at: 2 }, 2);
  tally.sent({ id: "c", at: 3 }, 3);
  assert.equal(tally.settle(3), true);
  assert.deepEqual(tally.entries.at(-1), { kind: "lost", ids: ["b", "c"] });
  assert.partialDeepStrictEqual(tally.counts, { sent: 3, received: 1, lost: 2, waiting: 0 });
});

test("what is on its way is not lost before its time, and not lost if it comes late", () => {
  const tally = new Tally("at-most-once", 0);
  tally.here = true;
  tally.sent({ id: "a", at: 1 }, 10);
  assert.equal(tally.settle(2010), false);
  assert.equal(tally.counts.waiting, 1);
  assert.equal(tally.settle(2011), true);
  assert.equal(tally.counts.lost, 1);
  tally.arrived(arrival("a"));
  assert.equal(tally.counts.lost, 0);
  assert.equal(tally.isLost("a"), false);
});

test("on a kept channel what is missing waits, however long", () => {
  const tally = new Tally("at-least-once", 0);
  tally.sent({ id: "a", at: 1, epoch: "e", offset: 1 }, 1);
  assert.equal(tally.settle(1_000_000), false);
  assert.partialDeepStrictEqual(tally.counts, { lost: 0, waiting: 1 });
});

test("a message handled twice is one message and one repeat", () => {
  const tally = new Tally("at-least-once", 0);
  tally.arrived(arrival("a", 1));
  tally.arrived(arrival("a", 1));
  assert.partialDeepStrictEqual(tally.counts, { sent: 1, received: 1, repeated: 1 });
  assert.deepEqual(
    tally.entries.map((entry) => entry.kind === "message" && entry.repeat),
    [false, true],
  );
});

test("failures of one message are one entry that counts them", () => {
  const tally = new Tally("exactly-once", 0);
  tally.sent({ id: "a", at: 1, epoch: "e", offset: 7 }, 1);
  for (let attempt = 0; attempt < 5; attempt++) tally.failed(arrival("a", 7));
  assert.deepEqual(tally.entries, [{ kind: "failed", id: "a", text: "a", offset: 7, attempts: 5 }]);
  tally.gap({ channel: "orders:demo", from: 7, to: 7, reason: "failed", epoch: "e" });
  assert.partialDeepStrictEqual(tally.counts, { setAside: 1, lost: 0, gaps: 1, waiting: 0 });
});

test("a gap makes lost what lies in it, and nothing else", () => {
  const tally = new Tally("at-least-once", 0);
  for (const offset of [1, 2, 3, 4]) tally.sent({ id: `m${offset}`, at: 1, epoch: "e", offset }, 1);
  tally.gap({ channel: "chat:demo", from: 1, to: 3, reason: "retention", epoch: "e" });
  assert.partialDeepStrictEqual(tally.counts, { lost: 3, waiting: 1 });
});

test("a new epoch makes lost what was kept in the old one", () => {
  const tally = new Tally("at-least-once", 0);
  tally.sent({ id: "old", at: 1, epoch: "e", offset: 1 }, 1);
  tally.sent({ id: "new", at: 1, epoch: "f", offset: 1 }, 1);
  tally.gap({ channel: "chat:demo", from: 1, to: 1, reason: "epoch", epoch: "f" });
  assert.partialDeepStrictEqual(tally.counts, { lost: 1, waiting: 1 });
});

test("a tab minds neither what was sent before it came nor what it left for good", () => {
  const tally = new Tally("at-least-once", 100);
  tally.sent({ id: "before", at: 99 }, 150);
  tally.sent({ id: "missed", at: 120 }, 150);
  assert.equal(tally.counts.waiting, 1);
  tally.beginAgain(200);
  assert.equal(tally.counts.sent, 0);
});

test("what a tally remembers goes on where it stopped", () => {
  const tally = new Tally("at-least-once", 0);
  tally.sent({ id: "a", at: 1 }, 1);
  tally.arrived(arrival("a", 1));
  tally.sent({ id: "b", at: 2 }, 2);
  const again = new Tally("at-least-once", 50, JSON.parse(JSON.stringify(tally.remember())));
  assert.deepEqual(again.counts, tally.counts);
  again.arrived(arrival("a", 1));
  assert.equal(again.counts.repeated, 1);
});
