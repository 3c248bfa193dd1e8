import assert from "node:assert/strict";
import { test } from "node:test";
import { UnderWay } from "./under-way.ts";

function underWay(limit = 10, attempts = 0, handedOut: readonly number[] = [11, 13, 17]): UnderWay {
  const made = new UnderWay(limit, { epoch: "e", offset: 10 }, attempts);
  for (const offset of handedOut) made.handOut(offset);
  return made;
}

test("an acknowledgement covers all before it, and makes room", () => {
  const made = underWay(3);
  assert.equal(made.room, 0);
  assert.equal(made.ack(13), true);
  assert.deepEqual([made.acked, made.room], [{ epoch: "e", offset: 13 }, 2]);
  assert.equal(made.ack(13), false);
  assert.equal(made.ack(11), false);
  assert.deepEqual(made.acked, { epoch: "e", offset: 13 });
});

test("a failure takes the message and all after it back, and says where it stood", () => {
  const made = underWay();
  assert.deepEqual(made.fail(13), { offset: 13, prev: 11, attempts: 1 });
  assert.equal(made.fail(17), undefined, "no longer under way");
  assert.equal(made.fail(12), undefined, "never was");
  assert.deepEqual(made.fail(11), { offset: 11, prev: 10, attempts: 1 });
});

test("each message's failures are its own: those of another are not counted for it", () => {
  const made = underWay();
  assert.equal(made.fail(17)?.attempts, 1);
  made.handOut(17);
  assert.equal(made.fail(17)?.attempts, 2);
  assert.equal(made.attempts, 0, "11 is next after the cursor, and has not failed");
  assert.equal(made.fail(11)?.attempts, 1, "17 failed twice, 11 never");
});

test("acknowledging the messages before a failing one does not begin its count anew", () => {
  const made = underWay();
  made.fail(17);
  made.ack(13);
  assert.equal(made.attempts, 1);
  made.handOut(17);
  assert.equal(made.attempts, 1);
  assert.equal(made.fail(17)?.attempts, 2);
  made.handOut(17);
  made.ack(17);
  assert.equal(made.attempts, 0);
  assert.equal(made.failing, false);
});

test("a count that a cursor brought along belongs to the first message after it", () => {
  assert.equal(underWay(10, 3).fail(11)?.attempts, 4);
  assert.equal(underWay(10, 3).fail(13)?.attempts, 1);
  const acked = underWay(10, 3);
  acked.ack(11);
  assert.equal(acked.fail(13)?.attempts, 1);
});

test("a message that was given up counts as handled once those before it are", () => {
  const first = underWay();
  first.fail(11);
  first.giveUp(11);
  assert.equal(first.acked.offset, 11);
  const later = underWay();
  later.fail(17);
  later.giveUp(17);
  assert.equal(later.acked.offset, 10);
  assert.equal(later.fail(17), undefined);
  later.handOut(19);
  later.ack(13);
  assert.deepEqual([later.acked.offset, later.room], [17, 9]);
  assert.deepEqual(later.fail(19), { offset: 19, prev: 17, attempts: 1 });
});

test("a gap leaves nothing under way", () => {
  const made = underWay(3);
  made.fail(13);
  made.beginAt({ epoch: "f", offset: 2 });
  assert.deepEqual([made.acked, made.room, made.attempts], [{ epoch: "f", offset: 2 }, 3, 0]);
});
