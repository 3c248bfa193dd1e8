import assert from "node:assert/strict";
import { test } from "node:test";
import { Arrivals, channelOf, CHANNELS, messageOf } from "./way.ts";

test("what arrives is compared with what was given to its channel next", () => {
  const arrived = new Arrivals();
  const take = (i: number, channel = channelOf(i)): void => arrived.take(channel, messageOf(i).data);
  for (let i = 0; i < 3 * CHANNELS; i++) take(i);
  assert.deepEqual([arrived.count, arrived.wrong], [3 * CHANNELS, 0]);
  take(CHANNELS);
  assert.equal(arrived.wrong, 1, "an older one");
  take(4 * CHANNELS + 1);
  assert.equal(arrived.wrong, 2, "one too early");
  take(3 * CHANNELS + 2, channelOf(3));
  assert.equal(arrived.wrong, 3, "another channel's");
  arrived.take(channelOf(4), messageOf(3 * CHANNELS + 4).data.replace("0", "x"));
  assert.equal(arrived.wrong, 4, "a spoiled one");
});
