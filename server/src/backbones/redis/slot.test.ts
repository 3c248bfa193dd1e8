import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { slotOf } from "./slot.ts";
import { spreadTags } from "./spread-tags.ts";

const run = promisify(execFile);
const cluster = await needBroker("redis-cluster");

test("a key's slot is the one that the Cluster says", { skip: cluster.skip }, async () => {
  if (cluster.skip !== false) return;
  const { port } = new URL(cluster.urls[0] ?? "");
  const keys = ["", "foo", "todoku:{chat:42}:log", "{}x", "a{b}c{d}", "a{b", "}a{", "ünï", "{{x}}", "x".repeat(300)];
  for (const key of keys) {
    const { stdout } = await run("redis-cli", ["-p", port, "cluster", "keyslot", key]);
    assert.equal(slotOf(key), Number(stdout), key);
  }
});

test("tags are spread evenly over the slots, each in its own stretch, the same every time", () => {
  for (const count of [1, 3, 64, 1000]) {
    const tags = spreadTags(count);
    const stretches = tags.map((tag) => Math.floor((slotOf(tag) * count) / 16_384));
    assert.deepEqual(
      stretches,
      Array.from({ length: count }, (_, i) => i),
    );
    assert.deepEqual(spreadTags(count), tags);
  }
});
