import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "./need.ts";
import { recipeOf, running } from "./running.ts";

const run = promisify(execFile);

const redis = await needBroker("redis");

test("a broker that was asked for runs, answers, and is found by whoever asks next", { skip: redis.skip }, async () => {
  if (redis.skip !== false) return;
  const { port } = new URL(redis.urls[0] ?? "");
  assert.equal((await run("redis-cli", ["-p", port, "ping"])).stdout, "PONG\n");
  assert.ok(existsSync(redis.folder));
  assert.deepEqual(await needBroker("redis"), redis);
  assert.deepEqual(running("redis")?.pids, redis.pids);
});

test("an unknown broker is refused with the names of the known ones", () => {
  assert.throws(() => recipeOf("radish"), /"radish"; there are redis, redis-sentinel, redis-cluster/);
});
