import assert from "node:assert/strict";
import { test } from "node:test";
import type { Subscription } from "./subscription.ts";
import { Subscriptions } from "./subscriptions.ts";

/** Nothing but its channel is looked at. */
const on = (channel: string): Subscription => ({ channel }) as Subscription;

test("each channel has the one that was added last, however many channels there are", () => {
  const all = new Subscriptions();
  const [a, again, b, c] = [on("a"), on("a"), on("b"), on("c")];
  assert.deepEqual([all.size, [...all], all.get("a")], [0, [], undefined]);
  all.add(a);
  all.add(again);
  assert.deepEqual([all.size, all.get("a") === again, all.has("b")], [1, true, false]);
  all.delete(b);
  for (const one of [b, c]) all.add(one);
  assert.deepEqual([all.size, [...all]], [3, [again, b, c]]);
  all.delete(again);
  assert.deepEqual([all.has("a"), all.get("b") === b, all.size], [false, true, 2]);
  for (const one of [b, c]) all.delete(one);
  assert.deepEqual([all.size, [...all], all.has("b")], [0, [], false]);
});
