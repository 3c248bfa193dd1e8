/** `todoku serve --workers`: real processes on one port, killed, replaced, drained, and asked as one. `TODOKU_SEED` repeats a run's choices. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Todoku, type Gap } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import type { ConfigInput } from "../server/src/config.ts";
import { check, report } from "./checker.ts";
import { RawClient } from "./raw-client.ts";
import { SeededRandom } from "./seeded-random.ts";
import { ServerProcess } from "./server-process.ts";
import { eventually, isAlive, processesOf, replaced, whole } from "./workers/processes.ts";
import { endWorker, killStore, killWorker, reload, workersRun } from "./workers/run.ts";

const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const skip = process.platform !== "linux" && "processes share a port, and are looked at in /proc, on Linux";

const open = { subscribe: "any", publish: "any", history: "any", presence: "any" } as const;
const kept = { ...open, retention: { messages: 1_000_000 } } as const;

const CONFIG = {
  workers: 2,
  drain: "0s",
  auth: { insecure: true },
  log: { level: "silent" },
  client: {
    beacon: "1s",
    unauthenticated_per_address: 10_000,
    rate: { commands: "off", publish: "off", subscribe: "off", connects: "off", user: "off" },
  },
  backbones: { disk: { type: "embedded", path: "data" }, ram: { type: "memory" } },
  namespaces: {
    least: { ...kept, backbone: "disk", delivery: "at-least-once" },
    once: { ...kept, backbone: "disk", delivery: "exactly-once" },
    most: { ...open, backbone: "ram" },
    kept: { ...kept, backbone: "ram" },
    jobs: { backbone: "disk", publish: "any", consume: "any", queue: { lease: "2s", backoff: "10ms..100ms" } },
  },
} as const satisfies ConfigInput;

/** Of the server that several tests share. */
const SHARED = { ...CONFIG, drain: "300ms", log: { level: "info" } } as const satisfies ConfigInput;

async function raw(t: TestContext, server: ServerProcess): Promise<RawClient> {
  const client = await RawClient.connect(server.port);
  t.after(() => client.terminate());
  return client;
}

async function subscribed(t: TestContext, server: ServerProcess, channel: string): Promise<RawClient> {
  const client = await raw(t, server);
  const answered = client.next();
  client.send({ id: 2, subscribe: { channel } });
  assert.match(await answered, /"subscribe"/);
  return client;
}

function sdk(t: TestContext, { url }: ServerProcess): Todoku<Record<string, number>> {
  const client = new Todoku<Record<string, number>>(url, { backoff: { firstMs: 20, lastMs: 200 } });
  client.on("error", () => {});
  t.after(() => client.disconnect());
  return client;
}

/** A process that does not answer within a second is counted as it was when it last did: it may take more than one question. */
function counted(server: ServerProcess, metric: string, count: number): Promise<void> {
  return eventually(`${metric} is ${count}`, async () => (await server.metric(metric)) === count);
}

/** Connections on each worker. */
async function spread(server: ServerProcess): Promise<number[]> {
  const { nodes } = await server.api<{ nodes: { num_clients: number }[] }>("info", {});
  return nodes.map(({ num_clients }) => num_clients);
}

describe("processes of one server under fire", { skip, timeout: 300_000 }, () => {
  test("embedded: whatever is killed or replaced, nothing is lost, repeated or out of order", async (t) => {
    t.diagnostic(`TODOKU_SEED=${SEED}`);
    const { events, acknowledged, handled } = await workersRun({
      random: new SeededRandom(SEED),
      config: CONFIG,
      demands: { least: "at-least-once", once: "exactly-once" },
      faults: [killWorker, killStore, endWorker, killWorker, killStore, reload, killWorker, killWorker],
      publishers: 10,
      steady: 24,
      durable: 12,
    });
    t.diagnostic(`${acknowledged} publishes acknowledged, ${handled} messages handled`);
    const violations = check(events);
    assert.deepEqual(violations, [], report(violations));
  });

  test("memory: nothing comes twice, and what is lost is lost in a fault", async (t) => {
    t.diagnostic(`TODOKU_SEED=${SEED}`);
    const { events, acknowledged, handled } = await workersRun({
      random: new SeededRandom(SEED),
      config: CONFIG,
      demands: { most: "at-most-once" },
      faults: [killWorker, reload, killStore],
      publishers: 6,
      steady: 12,
      durable: 0,
    });
    assert.ok(acknowledged > 0 && handled > 0);
    const violations = check(events);
    assert.deepEqual(violations, [], report(violations));
  });
});

describe("several processes on one port, one after the other", { skip, timeout: 300_000 }, () => {
  let server: ServerProcess;
  before(async () => {
    server = await ServerProcess.start(SHARED);
  });
  after(() => server[Symbol.asyncDispose]());

  test("what is asked of one is answered for all, and what was counted stays counted", async (t) => {
    const clients = await Promise.all(Array.from({ length: 16 }, () => subscribed(t, server, "most:1")));
    assert.ok(
      (await spread(server)).every((count) => count > 0),
      "the system gave all connections to one process",
    );
    const { presence } = await server.api<{ presence: object }>("presence", { channel: "most:1" });
    assert.equal(Object.keys(presence).length, 16);
    assert.deepEqual(await server.api("channels", {}), { channels: { "most:1": { num_clients: 16 } } });
    const got = clients.map((client) => client.next());
    await server.api("publish", { channel: "most:1", data: 1 });
    for (const text of await Promise.all(got)) assert.match(text, /"data":1/);
    for (let i = 0; i < 8; i++) {
      await counted(server, "todoku_connections", 16);
      await counted(server, "todoku_workers", 2);
      await counted(server, "todoku_deliveries_total", 16);
      await counted(server, "todoku_publishes_total", 1);
    }
    const [worker] = processesOf(server).workers;
    assert.ok(worker);
    await replaced(server, worker, "SIGKILL");
    await counted(server, "todoku_restarts_total", 1);
    await whole(server);
    await counted(server, "todoku_deliveries_total", 16);
    await counted(server, "todoku_publishes_total", 1);
    // Two of them may be told of by one that is gone; a question to all waits for it no longer than a second.
    await server.api("disconnect", { user: "" });
    const closed = await Promise.all(clients.map((client) => client.closed));
    assert.ok(closed.every(({ code }) => code === 3503 || code === 1006));
    await eventually("nobody is left", async () => (await spread(server)).every((count) => count === 0));
  });

  test("another todoku on the same port is noticed, though both could share it", async () => {
    const other = await ServerProcess.prepare(CONFIG, [], server.port);
    await using _ = other;
    const { code, stderr } = await other.refusedStart();
    assert.equal(code, 1);
    assert.match(stderr, /\[http\] port \d+ on 127\.0\.0\.1 is in use by another process/);
  });

  test("memory whose owner is killed has a new epoch, and its readers are told", async (t) => {
    const client = sdk(t, server);
    const handled: number[] = [];
    const subscription = client.subscribe("kept:1", ({ data }) => void handled.push(data));
    await subscription.ready;
    await client.publish("kept:1", 1);
    await eventually("the first came", () => handled.includes(1));
    const gap = new Promise<Gap>((resolve) => subscription.on("gap", resolve));
    await killStore.strike(server, new SeededRandom(SEED));
    assert.equal((await gap).reason, "epoch");
    await client.publish("kept:1", 2);
    await eventually("the second came", () => handled.includes(2));
  });

  test("jobs are handed out over all workers, and those of a killed one again", async (t) => {
    const done = new Set<number>();
    for (let i = 0; i < 4; i++) {
      const consumer = consume<number>(
        sdk(t, server),
        "jobs:work",
        { concurrency: 4 },
        ({ data }) => void done.add(data),
      );
      consumer.on("error", () => {});
      await consumer.ready;
    }
    const jobs = Array.from({ length: 200 }, (_, n) => n);
    const publish = (n: number): Promise<void> =>
      eventually(`job ${n} is taken`, async () => {
        await server.api("publish", { channel: "jobs:work", data: n, idempotency_key: `job ${n}` });
        return true;
      });
    await Promise.all(jobs.slice(0, 100).map(publish));
    await killWorker.strike(server, new SeededRandom(SEED));
    await Promise.all(jobs.slice(100).map(publish));
    await eventually("all are done", () => done.size === jobs.length);
    await eventually("nothing is left", async () => {
      return (await server.api<{ jobs: number }>("queue_info", { queue: "jobs:work" })).jobs === 0;
    });
  });

  test("when the supervisor is killed its processes end, and another can be started at once", async (t) => {
    await server.api("publish", { channel: "least:1", data: 1 });
    const { workers, store } = processesOf(server);
    assert.ok(store);
    await server.kill();
    await eventually("no process is left", () => ![...workers, store].some(isAlive));
    await server.restart();
    const { publications } = await server.api<{ publications: object[] }>("history", { channel: "least:1", limit: 9 });
    assert.equal(publications.length, 1);
    t.diagnostic(`${workers.length} workers and a store ended`);
  });

  test("SIGHUP takes up a configuration that works, and no other", async (t) => {
    const client = sdk(t, server);
    await client.publish("least:1", 1);
    const said = (what: string): Promise<void> => eventually(what, () => server.program.stderr.includes(what));
    const earlier = processesOf(server).workers;
    server.configure({ ...SHARED, namespaces: { ...CONFIG.namespaces, wrong: { backbone: "nowhere" } } });
    server.program.signal("SIGHUP");
    await said("which is not configured");
    server.configure({ ...SHARED, workers: 3 });
    server.program.signal("SIGHUP");
    await said("workers cannot change while todoku runs");
    await eventually("the workers are those from before", () =>
      isDeepStrictEqual(processesOf(server).workers, earlier),
    );
    server.configure({ ...SHARED, namespaces: { ...CONFIG.namespaces, fresh: { ...open, backbone: "ram" } } });
    server.program.signal("SIGHUP");
    await said("the configuration was taken up by all workers");
    assert.deepEqual(earlier.filter(isAlive), []);
    await client.publish("fresh:1", 1);
    await client.publish("least:1", 2);
  });

  test("a drain sends the clients of all workers elsewhere, and nothing is left behind", async (t) => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => raw(t, server)));
    const { workers, store } = processesOf(server);
    assert.ok(store);
    const ended = server.stop();
    for (const { code } of await Promise.all(clients.map((client) => client.closed))) assert.equal(code, 3001);
    assert.deepEqual(await ended, { code: 0, signal: null });
    assert.deepEqual([...workers, store].filter(isAlive), []);
  });
});

describe("several processes that cannot start", { skip, timeout: 300_000 }, () => {
  test("what keeps it from starting is said once, and it ends", async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    t.after(() => taken.close());
    const { port } = taken.address() as { port: number };
    const { disk, ram } = CONFIG.backbones;
    const wrong: readonly (readonly [ConfigInput, RegExp])[] = [
      [{ ...CONFIG, internal: { port } }, /\[internal\] port \d+ on 127\.0\.0\.1 is in use/g],
      [
        { ...CONFIG, backbones: { ram, disk: { ...disk, path: "config.json/data" } } },
        /config\.json\/data cannot be used/g,
      ],
      [{ ...CONFIG, namespaces: { chat: { backbone: "ram", delivery: "exactly-once" } } }, /promises exactly-once/g],
    ];
    for (const [config, words] of wrong) {
      await using server = await ServerProcess.prepare(config);
      const { code, stderr } = await server.refusedStart();
      assert.equal(code, 1);
      assert.equal(stderr.match(words)?.length, 1, stderr);
    }
  });

  test("a store that cannot be opened again ends everything, and it is said why", async () => {
    const server = await ServerProcess.start({ ...CONFIG, log: { level: "error" } });
    await using _ = server;
    const { program } = server;
    const { store } = processesOf(server);
    assert.ok(store);
    process.kill(store, "SIGKILL");
    writeFileSync(path.join(server.folder, "data", "log.mdb"), "no log of ours");
    assert.deepEqual(await program.ended, { code: 1, signal: null });
    assert.match(program.stderr, /the process that owns the stores died, and cannot be started again: .*log\.mdb/);
  });
});
