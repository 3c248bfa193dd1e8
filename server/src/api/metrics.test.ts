/** Every metric is there and moves when what it counts happens, and none holds what it should not. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ManualClock } from "../manual-clock.ts";
import { API_KEY, RunningApi, SECRET, TEST_CONFIG } from "./running-api.ts";

/** `name{labels}` → value. */
type Samples = ReadonlyMap<string, number>;

describe("/metrics", () => {
  let api: RunningApi;
  const clock = new ManualClock();
  before(async () => {
    api = await RunningApi.start(
      {
        ...TEST_CONFIG,
        namespaces: {
          ...TEST_CONFIG.namespaces,
          few: { backbone: "memory", consume: "any", queue: { metrics: 2 } },
          hidden: { backbone: "memory", queue: { metrics: 0 } },
          work: {
            backbone: "memory",
            retention: { messages: 3 },
            subscribe: "any",
            redelivery: { max_attempts: 2, backoff: "1s..1s", dead_letters: "chat:dead" },
          },
        },
      },
      { clock },
    );
  });
  after(() => api.close());

  async function samples(): Promise<Samples> {
    const { text, headers } = await api.send({ method: "GET", path: "/metrics", headers: { "x-api-key": API_KEY } });
    assert.match(headers["content-type"] ?? "", /^text\/plain; version=0\.0\.4/);
    return new Map(
      text
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
    );
  }

  /** How much each sample moved while `act` ran; those that did not are left out. */
  async function moved(act: () => Promise<void>): Promise<Record<string, number>> {
    const earlier = await samples();
    await act();
    const later = await samples();
    const changes = [...later].map(([name, value]) => [name, value - (earlier.get(name) ?? 0)] as const);
    return Object.fromEntries(changes.filter(([name, change]) => name.startsWith("todoku_") && change !== 0));
  }

  test("connections and subscriptions rise and fall, closes are counted by code", async () => {
    const client = await api.connect("ann");
    const came = await moved(async () => {
      await api.connect("ben");
      await client.ask({ subscribe: { channel: "chat:gauge" } });
    });
    assert.equal(came["todoku_connections"], 1);
    assert.equal(came['todoku_subscriptions{namespace="chat"}'], 1);
    assert.equal(came['todoku_commands_total{method="connect",code="0"}'], 1);
    const went = await moved(async () => {
      await api.result("disconnect", { user: "ann" });
      await client.closed();
    });
    assert.equal(went["todoku_connections"], -1);
    assert.equal(went['todoku_subscriptions{namespace="chat"}'], -1);
    assert.equal(went['todoku_connections_closed_total{code="3503"}'], 1);
  });

  test("publishes by outcome, deliveries, and both latency histograms", async () => {
    const clients = [await api.connect("c1"), await api.connect("c2")];
    for (const client of clients) await client.ask({ subscribe: { channel: "chat:count" } });
    const changes = await moved(async () => {
      const keyed = { channel: "chat:count", data: 1, idempotency_key: "k" };
      await api.result("publish", keyed);
      await api.result("publish", keyed);
      await api.call("publish", { channel: "chat:count", data: "x".repeat(70_000) });
      for (const client of clients) await client.push("pub");
    });
    assert.equal(changes['todoku_publishes_total{namespace="chat",outcome="stored"}'], 1);
    assert.equal(changes['todoku_publishes_total{namespace="chat",outcome="duplicate"}'], 1);
    assert.equal(changes['todoku_publishes_total{namespace="chat",outcome="message_too_large"}'], 1);
    assert.equal(changes['todoku_deliveries_total{namespace="chat"}'], 2);
    assert.equal(changes['todoku_publish_seconds_count{namespace="chat"}'], 2);
    assert.equal(changes['todoku_delivery_seconds_count{namespace="chat"}'], 1);
  });

  test("gaps and catch-ups", async () => {
    for (let i = 0; i < 5; i++) await api.result("publish", { channel: "work:gap", data: i });
    const { epoch } = await api.result("history", { channel: "work:gap" });
    const client = await api.connect("gil");
    const changes = await moved(async () => {
      await client.ask({ subscribe: { channel: "work:gap", start: { offset: 0, epoch } } });
      await client.until(({ push }) => push?.pub?.offset === 5);
    });
    assert.equal(changes['todoku_gaps_total{namespace="work",reason="retention"}'], 1);
    assert.equal(changes['todoku_catch_ups_total{namespace="work",reason="start"}'], 1);
  });

  test("redeliveries and dead letters", async () => {
    const client = await api.connect("hal");
    const changes = await moved(async () => {
      await client.ask({ subscribe: { channel: "work:fail", durable: "d", ack: true } });
      await api.result("publish", { channel: "work:fail", data: 1 });
      const { pub } = await client.push("pub");
      const { epoch } = await api.result("history", { channel: "work:fail" });
      const nack = { nack: { channel: "work:fail", offset: pub.offset as number, epoch: epoch as string } };
      await client.ask(nack);
      await clock.advance(1000);
      await client.until(({ push }) => push?.pub?.redelivered === true);
      await client.ask(nack);
      await clock.advance(2000);
    });
    assert.equal(changes['todoku_redeliveries_total{namespace="work"}'], 1);
    assert.equal(changes['todoku_dead_letters_total{namespace="work"}'], 1);
  });

  test("queues say how each group of them stands, at most every five seconds", async () => {
    const client = await api.connect("ivy");
    await api.result("publish", { channel: "jobs:shown", data: 1 });
    await api.result("publish", { channel: "jobs:shown", data: 2 });
    await clock.advance(5000);
    const queue = 'namespace="jobs",queue="jobs:shown"';
    const none = await samples();
    assert.equal(none.get(`todoku_queue_kept_jobs{${queue}}`), 2, "also while there is no group");

    await client.ask({ consume: { queue: "jobs:shown", group: "g" } });
    const { job } = await client.push("job");
    assert.equal((await samples()).get(`todoku_queue_jobs{${queue},group="g",state="leased"}`), undefined);
    await clock.advance(5000);
    const shown = await samples();
    const of = (state: string): number | undefined =>
      shown.get(`todoku_queue_jobs{${queue},group="g",state="${state}"}`);
    assert.deepEqual(["ready", "leased", "delayed", "dead"].map(of), [1, 1, 0, 0]);
    assert.equal(shown.get(`todoku_queue_oldest_age_seconds{${queue},group="g"}`), 10);
    assert.equal(shown.get(`todoku_queue_paused{${queue}}`), 0);

    await client.ask({ fail: { queue: "jobs:shown", group: "g", lease: job.lease as string } });
    await api.result("queue_pause", { queue: "jobs:shown" });
    await clock.advance(5000);
    const later = await samples();
    assert.equal(later.get(`todoku_queue_jobs{${queue},group="g",state="dead"}`), 1);
    assert.equal(later.get(`todoku_queue_paused{${queue}}`), 1);
  });

  test("as many queues are shown as the namespace says, and an empty one makes place", async () => {
    const names = async (): Promise<string[]> => {
      await clock.advance(5000);
      const found = [...(await samples()).keys()].map((name) => /queue_kept_jobs\{.*queue="(few:\w+)"/.exec(name)?.[1]);
      return found.filter((name) => name !== undefined).toSorted();
    };
    for (const queue of ["few:a", "few:b", "few:c", "hidden:a"])
      await api.result("publish", { channel: queue, data: 1 });
    assert.deepEqual(await names(), ["few:a", "few:b"]);
    const client = await api.connect("joe");
    await client.ask({ consume: { queue: "few:a" } });
    const { job } = await client.push("job");
    await client.ask({ done: { queue: "few:a", lease: job.lease as string } });
    assert.deepEqual(await names(), ["few:a", "few:b"]);
    await api.result("publish", { channel: "few:c", data: 1 });
    assert.deepEqual(await names(), ["few:b", "few:c"]);
    const { text } = await api.send({ method: "GET", path: "/metrics", headers: { "x-api-key": API_KEY } });
    assert.doesNotMatch(text, /hidden:/);
  });

  test("what a backbone could not do, by operation and reason", async (context) => {
    const broken = await RunningApi.start();
    context.after(() => broken.close());
    for (const backbone of broken.server.todoku.backbones.values()) await backbone.close();
    assert.equal((await broken.call("publish", { channel: "chat:x", data: 1 })).body.error.code, 402);
    assert.equal((await broken.call("history", { channel: "chat:x" })).body.error.code, 402);
    assert.equal((await broken.call("history_remove", { channel: "chat:x" })).body.error.code, 402);
    const { text } = await broken.send({ method: "GET", path: "/metrics", headers: { "x-api-key": API_KEY } });
    for (const operation of ["publish", "history", "history_remove"]) {
      assert.ok(
        text.includes(`todoku_backbone_errors_total{operation="${operation}",reason="unavailable"} 1`),
        operation,
      );
    }
  });

  test("drops for slow readers are there, if none has happened", async () => {
    const { text } = await api.send({ method: "GET", path: "/metrics", headers: { "x-api-key": API_KEY } });
    assert.match(text, /^# TYPE todoku_drops_total counter$/m);
  });

  test("no key, token, payload, channel, user or address stands in it", async () => {
    const client = await api.connect("a-secretive-user");
    await client.ask({ subscribe: { channel: "chat:a-secretive-channel" } });
    await api.result("publish", {
      channel: "chat:a-secretive-channel",
      data: "a-secretive-payload",
      idempotency_key: "a-secretive-key",
    });
    await api.call("publish", { channel: "a-secretive-namespace:x", data: 1 });
    await api.call("a-secretive-method", {});
    await api.send({ method: "GET", path: "/a-secretive-path?token=a-secretive-token" });
    await client.push("pub");
    const { text } = await api.send({ method: "GET", path: "/metrics", headers: { "x-api-key": API_KEY } });
    assert.doesNotMatch(text, /secretive/);
    assert.ok(!text.includes(API_KEY) && !text.includes(SECRET) && !text.includes("127.0.0.1"));
  });

  test("are for who has a key", async () => {
    const { status, body } = await api.send({ method: "GET", path: "/metrics" });
    assert.deepEqual([status, body.error.code], [401, 101]);
    const { status: forged } = await api.send({
      method: "GET",
      path: "/metrics",
      headers: { "x-forwarded-for": "127.0.0.1" },
    });
    assert.equal(forged, 401);
  });
});
