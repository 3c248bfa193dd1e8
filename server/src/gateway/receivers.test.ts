import assert from "node:assert/strict";
import { test } from "node:test";
import { Receivers, type Receiver } from "./receivers.ts";
import { SharedPublication } from "./shared-publication.ts";

const PUBLICATION = new SharedPublication("a", { id: "m1", time: 0, data: "1" });

function receiver(offer: () => boolean = () => true): Receiver {
  return { offer, signal: () => {}, skipped: () => {} };
}

test("each is there once, from when it was added until it is deleted, however many there are", () => {
  const [a, b, c] = [receiver(), receiver(), receiver()];
  const receivers = new Receivers();
  const seen = (): readonly Receiver[] => [...receivers];
  assert.deepEqual([receivers.size, receivers.offer(PUBLICATION), seen()], [0, 0, []]);
  receivers.add(a);
  receivers.delete(b);
  assert.deepEqual([receivers.size, receivers.offer(PUBLICATION), seen()], [1, 1, [a]]);
  for (const one of [b, c]) receivers.add(one);
  assert.deepEqual([receivers.size, receivers.offer(PUBLICATION), seen()], [3, 3, [a, b, c]]);
  for (const one of [a, c, b]) receivers.delete(one);
  assert.deepEqual([receivers.size, receivers.offer(PUBLICATION), seen()], [0, 0, []]);
  receivers.add(b);
  assert.deepEqual(seen(), [b]);
});

test("only those count that took it, and one that ends while it is offered something keeps nothing from the others", () => {
  const receivers = new Receivers();
  const last = receiver();
  const ending = receiver(() => {
    receivers.delete(ending);
    return false;
  });
  receivers.add(ending);
  assert.equal(receivers.offer(PUBLICATION), 0);
  assert.equal(receivers.size, 0);
  for (const one of [ending, last]) receivers.add(one);
  assert.equal(receivers.offer(PUBLICATION), 1);
  assert.deepEqual([...receivers], [last]);
});
