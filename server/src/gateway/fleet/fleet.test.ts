/** Several gateways on one bus, as one. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { MemoryBackbone, MemoryStore } from "../../backbones/memory.ts";
import { ManualClock, settle } from "../../manual-clock.ts";
import { TestGateway } from "../../test-gateway.ts";

interface FleetOfThree {
  readonly clock: ManualClock;
  readonly gateways: readonly [TestGateway, TestGateway, TestGateway];
}

async function startFleet(context: TestContext): Promise<FleetOfThree> {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const start = async (): Promise<TestGateway> => {
    const backbone = new MemoryBackbone({}, clock, store);
    await backbone.open();
    return TestGateway.start({ clock, backbone, jwt: true, fleet: true });
  };
  const gateways = [await start(), await start(), await start()] as const;
  await settle();
  context.after(async () => {
    await Promise.all(gateways.map(({ gateway }) => gateway.stop()));
    await settle();
    assert.equal(clock.waiting, 0, "a stopped fleet left timers");
  });
  return { clock, gateways };
}

test("N1 presence is that of all gateways", async (context) => {
  const { gateways } = await startFleet(context);
  const clients = await Promise.all(gateways.map((gateway, i) => gateway.connectAs(`user${i % 2}`)));
  for (const client of clients) await client.subscribe("a");
  const { presence } = await clients[0]!.ask("presence", { channel: "a" });
  assert.deepEqual(Object.keys(presence).toSorted(), clients.map(({ connected }) => connected.client).toSorted());
  assert.deepEqual(await clients[1]!.ask("presence_stats", { channel: "a" }), { num_clients: 3, num_users: 2 });
});

test("channels and info are those of all gateways", async (context) => {
  const { gateways } = await startFleet(context);
  for (const gateway of gateways) await (await gateway.connectAs("ann")).subscribe("a");
  await (await gateways[2].connectAs("bob")).subscribe("b");
  const { operations } = gateways[1].gateway;
  assert.deepEqual(await operations.channels(), { a: { num_clients: 3 }, b: { num_clients: 1 } });
  assert.deepEqual(await operations.channels("b*"), { b: { num_clients: 1 } });
  const info = await operations.info();
  assert.equal(new Set(info.map(({ uid }) => uid)).size, 3);
  assert.equal(
    info.reduce((sum, { num_clients }) => sum + num_clients, 0),
    4,
  );
});

test("subscribe, unsubscribe, refresh and disconnect reach a user's connections on every gateway", async (context) => {
  const { gateways } = await startFleet(context);
  const [first, second, other] = [
    await gateways[0].connectAs("ann"),
    await gateways[1].connectAs("ann"),
    await gateways[2].connectAs("bob"),
  ];
  const { operations } = gateways[2].gateway;
  assert.equal(await operations.subscribe({ user: "ann" }, "a"), 2);
  await Promise.all([first.next("subscribe"), second.next("subscribe")]);
  assert.equal(await operations.unsubscribe({ user: "ann" }, "a", { code: 2100, reason: "enough" }), 2);
  assert.equal((await second.next("unsubscribe")).code, 2100);
  await operations.refresh({ user: "ann" }, { expireAt: Math.floor(gateways[0].clock.now() / 1000) + 60 });
  assert.equal((await first.next("refresh")).expires, true);
  assert.equal(await operations.disconnect({ user: "ann" }), 2);
  assert.equal((await first.closed)?.code, 3503);
  assert.equal((await second.closed)?.code, 3503);
  await other.subscribe("a");
});

test("A14 a durable subscription that is claimed on another gateway is ended here at once", async (context) => {
  const { gateways } = await startFleet(context);
  const older = await gateways[0].connectAs("ann");
  await older.subscribe("a", { durable: "phone" });
  const newer = await gateways[1].connectAs("ann");
  await newer.subscribe("a", { durable: "phone" });
  assert.equal((await older.next("unsubscribe")).code, 2001);
  await gateways[2].publish("a", 1);
  assert.equal((await newer.publications(1))[0]?.data, 1);
  assert.equal(older.inbox.length, 0);
});

test("a gateway that is silent is waited for no longer than a second, and after a while not at all", async (context) => {
  const { clock, gateways } = await startFleet(context);
  const [here, , frozen] = gateways;
  const client = await here.connectAs("ann");
  await client.subscribe("a");
  // Frozen: it hears and says nothing more, and says no goodbye.
  await frozen.backbone.close();
  const asked = here.gateway.operations.presence("a");
  let answered = false;
  void asked.then(() => (answered = true));
  await settle();
  assert.equal(answered, false);
  await clock.advance(1000);
  assert.deepEqual(Object.keys(await asked), [client.connected.client]);
  await clock.advance(8000);
  assert.deepEqual(Object.keys(await here.gateway.operations.presence("a")), [client.connected.client]);
});

test("a gateway that leaves says so, and is asked no more", async (context) => {
  const { gateways } = await startFleet(context);
  await gateways[1].gateway.stop();
  await settle();
  assert.equal((await gateways[0].gateway.operations.info()).length, 2);
});

test("what no gateway would say harms nobody, and is told", async (context) => {
  const { clock, gateways } = await startFleet(context);
  const [here] = gateways;
  const claimed = JSON.stringify({ say: "news", from: "elsewhere", what: "claimed", about: null });
  for (const signal of ["garbage", "null", claimed])
    await here.backbone.bus!.publish("$fleet", { kind: "signal", signal });
  await settle();
  assert.equal(here.failures.length, 3);
  const client = await here.connectAs("ann");
  await client.subscribe("a");
  // Who spoke counts as a gateway until it has been silent for a while.
  const asked = gateways[1].gateway.operations.channels();
  await clock.advance(1000);
  assert.deepEqual(await asked, { a: { num_clients: 1 } });
});

test("what a gateway says that another does not understand harms neither", async (context) => {
  const { gateways } = await startFleet(context);
  await gateways[0].backbone.bus!.publish("$fleet", {
    kind: "signal",
    signal: JSON.stringify({ say: "sing", from: "elsewhere" }),
  });
  await gateways[0].backbone.bus!.publish("$fleet", {
    kind: "signal",
    signal: JSON.stringify({ say: "ask", from: "elsewhere", id: 1, what: "constructor", about: [] }),
  });
  await settle();
  assert.equal(gateways[0].failures.length, 1);
});
