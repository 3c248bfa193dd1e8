import assert from "node:assert/strict";
import { test } from "node:test";
import { Inbox } from "./inbox.ts";

const before = { epoch: "before", offset: 5 };

function handled(inbox: Inbox<unknown>): void {
  for (let item = inbox.take(); item; item = inbox.take()) inbox.done(item);
}

test("R13 a new epoch that goes on with the older history is no gap, and repeats nothing", () => {
  const inbox = new Inbox("a");
  inbox.begin(before, false);
  inbox.receive({ data: 6, offset: 6, prev: 5 }, 1);
  inbox.receive({ data: 7, offset: 7, prev: 6 }, 1);
  inbox.begin({ epoch: "after", offset: 7 }, false, [{ epoch: "before", offset: 9 }]);
  assert.equal(inbox.receive({ data: 8, offset: 8, prev: 7 }, 1), "taken");
  assert.deepEqual(
    [inbox.take(), inbox.take(), inbox.take(), inbox.take()].map((item) => item?.position ?? item?.gap),
    [{ epoch: "after", offset: 6 }, { epoch: "after", offset: 7 }, { epoch: "after", offset: 8 }, undefined],
  );
});

test("R13 what a durable cursor sends again after a failover is known, up to where the histories part", () => {
  const inbox = new Inbox("a");
  inbox.begin(before, true);
  for (const offset of [6, 7, 8]) inbox.receive({ data: offset, offset, prev: offset - 1 }, 1);
  handled(inbox);
  inbox.begin({ epoch: "after", offset: 5 }, true, [{ epoch: "before", offset: 8 }]);
  const outcomes = [6, 7, 8, 9].map((offset) => inbox.receive({ data: offset, offset, prev: offset - 1 }, 1));
  assert.deepEqual(outcomes, ["known", "known", "known", "taken"]);
});

test("R11 a new epoch that shares nothing is a gap", () => {
  const inbox = new Inbox("a");
  inbox.begin(before, false);
  inbox.begin({ epoch: "after", offset: 0 }, false);
  assert.equal(inbox.take()?.gap?.reason, "epoch");
});
