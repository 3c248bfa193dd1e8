/** The three positions of a subscription, in the cases that are rare on a real server: epochs that change and cursors that lag. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gap, Position } from "@todoku/protocol";
import { Inbox, MOST_WAITING } from "./inbox.ts";

const at = (offset: number, epoch = "a"): Position => ({ epoch, offset });
const pub = (offset: number, prev = offset - 1) => ({ data: offset, offset, prev });

/** Takes everything that is queued, and handles it. */
function drain(inbox: Inbox<unknown>): (number | undefined | Omit<Gap, "epoch">)[] {
  const seen = [];
  for (let item = inbox.take(); item; item = inbox.take()) {
    inbox.done(item);
    const { channel: _channel, epoch: _epoch, ...gap } = item.gap ?? { from: 0, to: 0, reason: "dropped" as const };
    seen.push(item.gap ? gap : item.message?.offset);
  }
  return seen;
}

test("K7 the position is where the subscribe begins, until something was handled", () => {
  const inbox = new Inbox("chat:1");
  assert.equal(inbox.handled, undefined);
  inbox.begin(at(7), false);
  assert.deepEqual(inbox.handled, at(7));
  assert.equal(inbox.receive(pub(8), 1), "taken");
  assert.deepEqual([inbox.handled, inbox.queued], [at(7), at(8)]);
  drain(inbox);
  assert.deepEqual(inbox.handled, at(8));
});

test("K8 a cursor behind the stored position: what comes again is known, and acknowledged as far as it came", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(5));
  inbox.begin(at(2), true);
  assert.deepEqual(inbox.acknowledgeable, at(2));
  assert.equal(inbox.receive(pub(3), 1), "known");
  assert.deepEqual(inbox.acknowledgeable, at(3));
  for (const offset of [4, 5]) assert.equal(inbox.receive(pub(offset), 1), "known");
  assert.equal(inbox.receive(pub(6), 1), "taken");
  assert.deepEqual(inbox.acknowledgeable, at(5));
  assert.deepEqual(drain(inbox), [6]);
});

test("K8 a cursor ahead of what this client handled: another one handled it meanwhile, which is no gap", () => {
  const inbox = new Inbox("chat:1");
  inbox.begin(at(2), true);
  inbox.begin(at(9), true);
  assert.deepEqual(inbox.handled, at(9));
  assert.equal(inbox.receive(pub(10), 1), "taken");
  assert.deepEqual(drain(inbox), [10]);
});

test("K14 a gap over what was handled already is not told, and one that reaches further only for the rest", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(5));
  inbox.begin(at(1), true);
  inbox.receiveGap({ from: 2, to: 4, reason: "retention", epoch: "a" });
  assert.deepEqual(drain(inbox), []);
  inbox.receiveGap({ from: 2, to: 8, reason: "retention", epoch: "a" });
  assert.deepEqual(drain(inbox), [{ from: 6, to: 8, reason: "retention" }]);
  assert.deepEqual(inbox.handled, at(8));
  assert.equal(inbox.receive(pub(9, 8), 1), "taken");
});

test("K14 a log that lost what was handled leads the position back, also within its epoch", () => {
  const inbox = new Inbox("chat:1");
  inbox.begin(at(9), false);
  inbox.receiveGap({ from: 5, to: 4, reason: "epoch", epoch: "a" });
  assert.deepEqual(drain(inbox), [{ from: 5, to: 4, reason: "epoch" }]);
  assert.deepEqual(inbox.handled, at(4));
  assert.equal(inbox.receive(pub(5), 1), "taken");
});

test("K8, K14 a cursor of an older epoch does not bring back what was handled in the new one", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(3, "b"));
  inbox.begin(at(40, "a"), true);
  inbox.receiveGap({ from: 1, to: 0, reason: "epoch", epoch: "b" });
  assert.equal(inbox.receive(pub(1), 1), "known");
  assert.equal(inbox.receive(pub(2), 1), "known");
  assert.equal(inbox.receive(pub(3), 1), "known");
  assert.equal(inbox.receive(pub(4), 1), "taken");
  assert.deepEqual(drain(inbox), [{ from: 1, to: 0, reason: "epoch" }, 4]);
  assert.deepEqual(inbox.handled, at(4, "b"));
});

test("R13, K14 a cursor that was rewound with its log is a gap for who had handled more, and what is shared is not handled again", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(20, "a"));
  inbox.begin(at(8, "b"), true, [at(10, "a")]);
  assert.equal(inbox.acknowledgeable, undefined);
  for (const offset of [9, 10]) assert.equal(inbox.receive(pub(offset), 1), "known");
  assert.equal(inbox.receive(pub(11), 1), "taken");
  assert.deepEqual(drain(inbox), [{ from: 11, to: 10, reason: "epoch" }, 11]);
  assert.deepEqual(inbox.acknowledgeable, at(11, "b"));
});

test("R13, K14 nor may what is shared be acknowledged before the server has sent it", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(20, "a"));
  inbox.begin(at(8, "b"), true, [at(10, "a")]);
  drain(inbox);
  assert.deepEqual([inbox.handled, inbox.acknowledgeable], [at(10, "b"), at(8, "b")]);
});

test("R13, K14 a cursor that another client has moved on since is a gap up to there; of an epoch that the log does not know, from its beginning", () => {
  for (const [known, from] of [
    [at(20, "a"), 11],
    [at(20, "z"), 1],
  ] as const) {
    const inbox = new Inbox("chat:1");
    inbox.restore(known);
    inbox.begin(at(30, "b"), true, [at(10, "a")]);
    assert.equal(inbox.receive(pub(31), 1), "taken");
    assert.deepEqual(drain(inbox), [{ from, to: 30, reason: "epoch" }, 31]);
  }
});

test("R13 who had handled no more than is shared goes on without a gap", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(10, "a"));
  inbox.begin(at(8, "b"), true, [at(10, "a")]);
  for (const offset of [9, 10]) assert.equal(inbox.receive(pub(offset), 1), "known");
  assert.equal(inbox.receive(pub(11), 1), "taken");
  assert.deepEqual(drain(inbox), [11]);
});

test("R13, K14 a cursor of a forked epoch is no gap yet: the server tells it", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(12, "b"));
  inbox.begin(at(20, "a"), true, [at(10, "a")]);
  assert.deepEqual(drain(inbox), []);
});

test("K14 a server that begins elsewhere than asked makes a gap", () => {
  const inbox = new Inbox("chat:1");
  inbox.restore(at(5));
  inbox.begin(at(8), false);
  assert.deepEqual(drain(inbox), [{ from: 6, to: 8, reason: "retention" }]);
  inbox.begin(at(2, "b"), false);
  assert.deepEqual(drain(inbox), [{ from: 9, to: 2, reason: "epoch" }]);
  assert.deepEqual(inbox.handled, at(2, "b"));
});

test("K11 after a failure only the failed message is taken next, whatever was under way behind it", () => {
  const inbox = new Inbox("chat:1");
  inbox.begin(at(0), true);
  for (const offset of [1, 2, 3]) inbox.receive(pub(offset), 1);
  const first = inbox.take();
  assert.ok(first);
  inbox.done(first);
  inbox.take();
  inbox.rewind();
  assert.equal(inbox.take(), undefined);
  assert.equal(inbox.receive(pub(4), 1), "known");
  assert.equal(inbox.receive(pub(2), 1), "taken");
  assert.equal(inbox.receive(pub(3), 1), "taken");
  assert.equal(inbox.receive(pub(5), 1), "hole");
  assert.deepEqual(drain(inbox), [2, 3]);
});

test("the queue is full by number or by size, and low enough again at a quarter", () => {
  const many = new Inbox("chat:1");
  many.begin(at(0), false);
  for (let offset = 1; offset <= MOST_WAITING; offset++) many.receive(pub(offset), 1);
  assert.equal(many.full, false);
  many.receive(pub(MOST_WAITING + 1), 1);
  assert.equal(many.full, true);
  const large = new Inbox("chat:1");
  large.begin(at(0), false);
  for (let offset = 1; offset <= 5; offset++) large.receive(pub(offset), 1_000_000);
  assert.deepEqual([large.full, large.drained], [true, false]);
  while (!large.drained) large.take();
  assert.equal(large.queued?.offset, 5);
});

test("K8 without a log a message that comes again, as by a second gateway that is a little behind, is known by its id", () => {
  const inbox = new Inbox("ticker:1");
  assert.equal(inbox.receive({ id: "a", data: 1 }, 1), "taken");
  assert.equal(inbox.receive({ id: "b", data: 2 }, 1), "taken");
  assert.equal(inbox.receive({ id: "a", data: 1 }, 1), "known");
  assert.equal(inbox.receive({ data: 3 }, 1), "taken");
  assert.equal(inbox.receive({ data: 3 }, 1), "taken", "without an id nobody can tell");
});

test("K11 after a failure a gap behind the failed message is not taken in its place", () => {
  const inbox = new Inbox("chat:1");
  inbox.begin(at(7), true);
  inbox.receive(pub(8), 1);
  inbox.take();
  inbox.rewind();
  // On its way before the server heard of the failure.
  inbox.receiveGap({ from: 9, to: 44, reason: "retention", epoch: "a" });
  assert.equal(inbox.receive(pub(45), 1), "known");
  assert.deepEqual(drain(inbox), []);
  inbox.receiveGap({ from: 8, to: 44, reason: "retention", epoch: "a" });
  assert.equal(inbox.receive(pub(45), 1), "taken");
  assert.deepEqual(drain(inbox), [{ from: 8, to: 44, reason: "retention" }, 45]);
});

test("K11 a message of an epoch that the server has left cannot be sent again by it", () => {
  const inbox = new Inbox("chat:1");
  inbox.begin(at(2), true);
  inbox.receive(pub(3), 1);
  assert.ok(inbox.receivesIn(at(3)));
  inbox.receiveGap({ from: 1, to: 0, reason: "epoch", epoch: "b" });
  assert.ok(!inbox.receivesIn(at(3)));
  assert.ok(inbox.receivesIn(at(1, "b")));
});
