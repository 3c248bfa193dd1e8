import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../manual-clock.ts";
import { RunningApi, TEST_CONFIG, withFolder, type Answered } from "./running-api.ts";

const get = (api: RunningApi, path: string, base?: string): Promise<Answered> =>
  api.send({ method: "GET", path }, base);

describe("/health", () => {
  test("is live and ready while the backbones answer, needs no key and is not cached", async (context) => {
    const api = await RunningApi.start();
    context.after(() => api.close());
    for (const path of ["/health", "/health/ready"]) {
      const { status, body, headers } = await get(api, path);
      assert.deepEqual([status, body], [200, { status: "ok", backbones: { memory: "ok" } }]);
      assert.equal(headers["cache-control"], "no-store");
    }
    assert.deepEqual((await get(api, "/health/live")).body, { status: "ok" });
    assert.equal((await api.send({ method: "HEAD", path: "/health" })).status, 200);
  });

  test("is live and not ready when a backbone does not answer", async (context) => {
    const api = await RunningApi.start();
    context.after(() => api.close());
    for (const backbone of api.server.todoku.backbones.values()) await backbone.close();
    const { status, body } = await get(api, "/health/ready");
    assert.deepEqual([status, body], [503, { status: "unavailable", backbones: { memory: "unavailable" } }]);
    assert.equal((await get(api, "/health/live")).status, 200);
  });

  test("a check that hangs is no answer, and the probe does not hang with it", async (context) => {
    const clock = new ManualClock();
    const api = await RunningApi.start(TEST_CONFIG, { clock });
    context.after(() => api.close());
    const [backbone] = api.server.todoku.backbones.values();
    assert.ok(backbone);
    Object.assign(backbone, { check: () => new Promise(() => {}) });
    const timers = clock.waiting;
    const probe = get(api, "/health");
    while (clock.waiting === timers) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(3000);
    const { status, body } = await probe;
    assert.deepEqual([status, body.backbones], [503, { memory: "no answer" }]);
  });

  test("while clients are sent elsewhere it is live, not ready and draining, and the API works on", async () => {
    const clock = new ManualClock();
    const api = await RunningApi.start(TEST_CONFIG, { clock });
    const clients = [await api.connect("ann"), await api.connect("ben")];
    const drained = api.server.drain(10_000);
    const first = await clients[0]?.closed();
    assert.equal(first?.code, 3001);
    const { status, body } = await get(api, "/health/ready");
    assert.deepEqual([status, body.status], [503, "draining"]);
    assert.equal((await get(api, "/health/live")).status, 200);
    assert.equal((await api.result("publish", { channel: "chat:drain", data: 1 })).offset, 1);
    await assert.rejects(api.connect("cid"), "a new connection was accepted");
    await clock.advance(10_000);
    assert.equal((await clients[1]?.closed())?.code, 3001);
    await drained;
    await assert.rejects(get(api, "/health"), { code: "ECONNREFUSED" });
  });

  test("who asks it has all the time of a drain to learn that no client may come, also when none is left", async () => {
    const clock = new ManualClock();
    const api = await RunningApi.start(TEST_CONFIG, { clock });
    assert.equal((await get(api, "/health")).status, 200);
    await clock.advance(30_000);
    const drained = api.server.drain(10_000);
    await clock.advance(9999);
    const { status, body } = await get(api, "/health");
    assert.deepEqual([status, body.status], [503, "draining"]);
    await assert.rejects(api.connect("ann"), "a new connection was accepted");
    await clock.advance(1);
    await drained;
    await assert.rejects(get(api, "/health"), { code: "ECONNREFUSED" });
  });

  test("where nobody has asked it for a minute, a drain without clients ends at once", async () => {
    const clock = new ManualClock();
    const api = await RunningApi.start(TEST_CONFIG, { clock });
    assert.equal((await get(api, "/health")).status, 200);
    await clock.advance(60_000);
    await api.server.drain(10_000);
    await assert.rejects(get(api, "/health"), { code: "ECONNREFUSED" });
  });

  test("with an internal listener it is on both; API and metrics are on the internal one only", async (context) => {
    const api = await RunningApi.start({ ...TEST_CONFIG, internal: { port: 0 } });
    context.after(() => api.close());
    const internal = api.server.internalUrl?.replace("localhost", "127.0.0.1");
    assert.ok(internal);
    assert.equal((await get(api, "/health")).status, 200);
    assert.equal((await get(api, "/health", internal)).status, 200);
    assert.equal((await get(api, "/metrics")).status, 404);
    assert.equal((await api.call("info", {})).status, 404);
    assert.equal((await get(api, "/metrics", internal)).status, 200, "the internal listener needs no key for metrics");
    assert.equal((await api.send({ path: "/api/info" }, internal)).status, 401, "the API needs its key there as well");
  });

  test("a backbone that no namespace uses is neither opened nor asked", async (context) => {
    await withFolder(async (folder) => {
      const api = await RunningApi.start({
        ...TEST_CONFIG,
        backbones: { memory: { type: "memory" }, spare: { type: "embedded", path: `${folder}/spare` } },
      });
      context.after(() => api.close());
      assert.deepEqual((await get(api, "/health")).body.backbones, { memory: "ok" });
    });
  });
});
