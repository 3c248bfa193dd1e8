import assert from "node:assert/strict";
import { test } from "node:test";
import { partitionOf } from "./partition-of.ts";

test("channels lie where Kafka's own clients put them", () => {
  // From Kafka's UtilsTest: murmur2 of these, without its sign bit.
  const known: readonly (readonly [string, number])[] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ];
  for (const [channel, hash] of known) assert.equal(partitionOf(channel, 1000), (hash & 0x7fffffff) % 1000, channel);
});
