import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "../../../../../scripts/brokers/need.ts";
import { systemClock } from "../../../clock.ts";
import { BackboneError, type HandOut, type Queue } from "../../contract.ts";
import { backboneOf, ownServer } from "../test-redis.ts";

const run = promisify(execFile);
const { skip } = await needBroker("redis");

const LEASE_MS = 1000;
const redelivery = { maxAttempts: 50, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };

test("a job that the replica does not have yet is handed to nobody", { skip }, async (t) => {
  const master = await ownServer({ save: "" });
  t.after(master.end);
  const replica = await ownServer({
    save: "",
    replicaof: `127.0.0.1 ${master.server.port}`,
    "repl-diskless-sync-delay": "0",
  });
  t.after(replica.end);
  await untilOnline(master.server.port);
  const backbone = await backboneOf({
    type: "redis-streams",
    url: `redis://127.0.0.1:${master.server.port}`,
    confirm: "replicas",
    confirm_timeout: "100ms",
  });
  await backbone.open();
  t.after(() => backbone.close());
  const { queue } = backbone;
  assert.ok(queue);
  const job = { id: "1", time: systemClock.now(), data: "1" };
  const dedupe = { key: "k", windowMs: 600_000 };

  replica.server.freeze();
  await assert.rejects(queue.enqueue("q", job, { dedupe }), isUnknown);
  await assert.rejects(lease(queue), isUnknown, "who is handed a job could do what a failover then undoes");
  replica.server.thaw();

  // The publisher repeats with its key, until it is answered.
  assert.deepEqual(await answered(() => queue.enqueue("q", job, { dedupe })), { duplicate: true });
  const jobs = await answered(async () => {
    const { leases } = await lease(queue);
    if (leases.length === 0) throw new BackboneError("unavailable", "its first lease has not ended yet");
    return leases;
  });
  assert.deepEqual(
    jobs.map(({ job: { id } }) => id),
    ["1"],
  );
});

function lease(queue: Queue): Promise<HandOut> {
  return queue.lease("q", "g", { limit: 10, leaseMs: LEASE_MS, redelivery });
}

function isUnknown(error: unknown): boolean {
  return error instanceof BackboneError && error.reason === "unknown";
}

async function answered<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof BackboneError)) throw error;
    }
  }
}

async function untilOnline(port: number): Promise<void> {
  while (!(await run("redis-cli", ["-p", String(port), "info", "replication"])).stdout.includes("state=online")) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
