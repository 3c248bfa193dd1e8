import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Position } from "@todoku/protocol";
import type { CursorWrite } from "../backbones/contract.ts";
import { withFaults, type Around } from "../backbones/faulty.ts";
import { MemoryBackbone, MemoryStore } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { openGateway, type TestGateway } from "../test-gateway.ts";

type At = (offset: number) => Position & { channel: string };

/** A gateway whose backbone does what `around` says, and which has messages 1 to 5 on channel `a`. */
async function begin(
  context: TestContext,
  around: Around = (_call, go) => go(),
): Promise<{ gateway: TestGateway; at: At }> {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const gateway = await openGateway(context, { jwt: true, clock, backbone: withFaults(memory, around) });
  await gateway.publishNumbers("a", 1, 4);
  const { epoch = "" } = await gateway.publish("a", 5);
  return { gateway, at: (offset) => ({ channel: "a", offset, epoch }) };
}

test("S11, S12 a durable subscription begins after its cursor, whatever start says; the first time where start says", async (t) => {
  const { gateway, at } = await begin(t);
  const { channel, ...second } = at(2);
  const first = await gateway.connectAs("ann");
  const result = await first.subscribe("a", { durable: "phone", start: second });
  assert.deepEqual([result.cursor, result.offset], [second, 2]);
  assert.deepEqual(await first.data(3), [3, 4, 5]);
  await first.ask("ack", at(4));
  first.cut();
  for (const start of ["new", "earliest", second] as const) {
    const again = await gateway.connectAs("ann");
    assert.equal((await again.subscribe(channel, { durable: "phone", start })).cursor?.offset, 4);
    assert.deepEqual(await again.data(1), [5]);
    again.cut();
  }
  const fresh = await gateway.connectAs("ann");
  assert.equal((await fresh.subscribe("a", { durable: "watch" })).cursor?.offset, 5);
});

test("S12, S9 the first time with recover, nothing of what is recovered is skipped", async (t) => {
  const { gateway, at } = await begin(t);
  const ann = await gateway.connectAs("ann");
  const { channel: _, ...from } = at(2);
  const result = await ann.subscribe("a", { durable: "phone", recover: true, ...from });
  assert.deepEqual([result.recovered, result.cursor, result.publications], [true, from, undefined]);
  assert.deepEqual(await ann.data(3), [3, 4, 5]);
});

test("S11 where nothing is kept, nothing can be durable", async (t) => {
  const { gateway } = await begin(t);
  const ann = await gateway.connectAs("ann");
  assert.equal((await ann.refused("subscribe", { channel: "live:a", durable: "phone" })).code, 108);
});

test("S13 a name belongs to its user and its channel", async (t) => {
  const { gateway, at } = await begin(t);
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone", start: "earliest" });
  await ann.data(5);
  await ann.ask("ack", at(5));
  const bob = await gateway.connectAs("bob");
  assert.equal((await bob.subscribe("a", { durable: "phone", start: "earliest" })).cursor?.offset, 0);
  await gateway.publishNumbers("b", 1, 1);
  assert.equal((await ann.subscribe("b", { durable: "phone", start: "earliest" })).cursor?.offset, 0);
  assert.deepEqual([await ann.data(1), await bob.data(5)], [[1], [1, 2, 3, 4, 5]]);
  assert.deepEqual(await ann.rest(), [], "nobody took anything over");
});

test("S18 forget removes the cursor, also with an acknowledgement still on its way", async (t) => {
  const { gateway, at } = await begin(t);
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone", start: "earliest" });
  await ann.data(5);
  ann.send({ ack: at(3) }, { id: 50, unsubscribe: { channel: "a", forget: true } });
  assert.deepEqual((await ann.reply(50)).unsubscribe, {});
  assert.equal((await ann.subscribe("a", { durable: "phone", start: "earliest" })).cursor?.offset, 0);
});

test("A13, A9 what was sent and not acknowledged comes again on the next connection, marked; what was acknowledged does not", async (t) => {
  const { gateway, at } = await begin(t);
  const first = await gateway.connectAs("ann");
  await first.subscribe("a", { durable: "phone", start: "earliest", in_flight: 3 });
  await first.data(3);
  await first.ask("ack", at(1));
  first.cut();
  const next = await gateway.connectAs("ann");
  await next.subscribe("a", { durable: "phone" });
  assert.deepEqual(
    (await next.publications(4)).map(({ data, redelivered = false }) => [data, redelivered]),
    [
      [2, true],
      [3, true],
      [4, true],
      [5, false],
    ],
  );
});

test("A9, A13 so is what was sent by a gateway that died before it could say how far it came", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const [one, two] = [new MemoryBackbone({}, clock, store), new MemoryBackbone({}, clock, store)];
  await Promise.all([one.open(), two.open()]);
  const dead = await openGateway(t, { jwt: true, backbone: one });
  const alive = await openGateway(t, { jwt: true, backbone: two });
  const first = await dead.connectAs("ann");
  const { epoch = "" } = await first.subscribe("a", { durable: "phone" });
  await dead.publishNumbers("a", 1, 3);
  await first.data(3);
  await first.ask("ack", { channel: "a", offset: 1, epoch });
  await dead.publishNumbers("a", 4, 5);
  await first.data(2);
  // Nothing more is heard of the first gateway.
  const next = await alive.connectAs("ann");
  await next.subscribe("a", { durable: "phone" });
  await alive.publish("a", 6);
  assert.deepEqual(
    (await next.publications(5)).map(({ data, redelivered = false }) => [data, redelivered]),
    [
      [2, true],
      [3, true],
      [4, true],
      [5, true],
      [6, false],
    ],
  );
});

test("A15 an acknowledgement may be ahead of what this connection was sent, as far as an earlier one was", async (t) => {
  const { gateway, at } = await begin(t);
  const first = await gateway.connectAs("ann");
  await first.subscribe("a", { durable: "phone", start: "earliest", in_flight: 4 });
  await first.data(4);
  first.cut();
  const next = await gateway.connectAs("ann");
  await next.subscribe("a", { durable: "phone", in_flight: 1 });
  assert.deepEqual(await next.data(1), [1]);
  assert.equal((await next.refused("ack", at(5))).code, 107);
  assert.equal((await next.ask("ack", at(4))).offset, 4);
  assert.deepEqual(await next.data(1), [5]);
});

test("A14 the newer of two connections takes over, the older is told, and what it acknowledged counts", async (t) => {
  const { gateway, at } = await begin(t);
  const older = await gateway.connectAs("ann");
  await older.subscribe("a", { durable: "phone", start: "earliest" });
  await older.data(5);
  const acked = older.call("ack", at(3));
  const newer = await gateway.connectAs("ann");
  assert.equal((await newer.subscribe("a", { durable: "phone" })).cursor?.offset, 3);
  assert.equal((await acked).error, undefined);
  assert.deepEqual(await older.next("unsubscribe"), { code: 2001, reason: "taken over by another connection" });
  assert.equal((await older.refused("ack", at(5))).code, 107);
  assert.deepEqual(await newer.data(2), [4, 5]);
});

test("A14 it is so at any moment: of many takers at once the last one holds the subscription", async (t) => {
  const { gateway } = await begin(t);
  for (let moment = 0; moment < 20; moment++) {
    const takers = [await gateway.connectAs("ann"), await gateway.connectAs("ann"), await gateway.connectAs("ann")];
    for (const taker of takers) {
      taker.send({ id: 70, subscribe: { channel: "a", durable: "phone", start: "earliest" } });
      for (let i = 0; i < moment; i++) await Promise.resolve();
    }
    const last = takers.pop();
    assert.equal((await last?.reply(70))?.error, undefined);
    assert.deepEqual(await last?.data(5), [1, 2, 3, 4, 5]);
    for (const taker of takers) {
      const { error } = await taker.reply(70);
      if (error) assert.equal(error.code, 404);
      else assert.equal((await taker.next("unsubscribe")).code, 2001);
    }
    assert.deepEqual(await last?.rest(), []);
    for (const taker of [...takers, last]) taker?.cut();
  }
});

test("A14, S12 across two gateways on one backbone the older is fenced off and told at its next acknowledgement", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const [one, two] = [new MemoryBackbone({}, clock, store), new MemoryBackbone({}, clock, store)];
  await Promise.all([one.open(), two.open()]);
  const here = await openGateway(t, { jwt: true, backbone: one });
  const there = await openGateway(t, { jwt: true, backbone: two });
  await here.publishNumbers("a", 1, 3);
  const older = await here.connectAs("ann");
  const { epoch = "" } = await older.subscribe("a", { durable: "phone", start: "earliest" });
  const at: At = (offset) => ({ channel: "a", offset, epoch });
  await older.data(3);
  await older.ask("ack", at(1));
  const newer = await there.connectAs("ann");
  assert.equal((await newer.subscribe("a", { durable: "phone" })).cursor?.offset, 1);
  assert.equal((await older.refused("ack", at(3))).code, 404);
  assert.equal((await older.next("unsubscribe")).code, 2001);
  assert.deepEqual(await newer.data(2), [2, 3]);
  newer.cut();
  const last = await here.connectAs("ann");
  assert.equal((await last.subscribe("a", { durable: "phone" })).cursor?.offset, 1, "the older moved nothing");
});

test("A16 the count of failures outlives the connection, and ends with an acknowledgement past the message", async (t) => {
  const { gateway, at } = await begin(t);
  const fail = async (offset: number): Promise<void> => {
    const ann = await gateway.connectAs("ann");
    await ann.subscribe("a", { durable: "phone", start: "earliest" });
    const [first] = await ann.publications(1);
    await ann.data(5 - (first?.offset ?? 0));
    await ann.ask("nack", at(offset));
    ann.cut();
  };
  for (let times = 1; times < 5; times++) await fail(1);
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone" });
  await ann.data(5);
  ann.send({ nack: at(1) });
  assert.equal((await ann.next("unsubscribe")).code, 2002);

  const next = await gateway.connectAs("ann");
  await next.subscribe("a", { durable: "phone" });
  await next.data(5);
  await next.ask("ack", at(1));
  next.cut();
  for (let times = 1; times < 5; times++) await fail(2);
  assert.equal((await (await gateway.connectAs("ann")).subscribe("a", { durable: "phone" })).cursor?.offset, 1);
});

test("A16 failures of a later message are not counted for the one that the cursor stands before", async (t) => {
  const { gateway, at } = await begin(t);
  for (let times = 0; times < 10; times++) {
    const ann = await gateway.connectAs("ann");
    await ann.subscribe("a", { durable: "phone", start: "earliest" });
    await ann.data(5);
    await ann.ask("nack", at(3));
    ann.cut();
  }
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone" });
  await ann.data(5);
  assert.deepEqual(await ann.ask("nack", at(1)), {}, "its first failure");
  assert.deepEqual(await ann.rest(), []);
});

test("A2 cursors are stored in batches, of each the last position, and every acknowledgement is answered when it is stored", async (t) => {
  const batches: number[] = [];
  let stored = Promise.resolve();
  const { gateway, at } = await begin(t, async (call, go, writes) => {
    if (call !== "cursors.write") return go();
    batches.push((writes as readonly CursorWrite[]).length);
    await stored;
    return go();
  });
  const clients = [];
  for (const user of ["ann", "bob", "cleo"]) {
    const client = await gateway.connectAs(user);
    await client.subscribe("a", { durable: "phone", start: "earliest" });
    await client.data(5);
    clients.push(client);
  }
  batches.length = 0;
  const disk = Promise.withResolvers<void>();
  stored = disk.promise;
  const answered = clients.flatMap((client) => [1, 2, 3, 4, 5].map((offset) => client.call("ack", at(offset))));
  const early = await clients[0]?.rest();
  assert.deepEqual(early, [], "not before it is stored");
  assert.deepEqual(batches, [3]);
  disk.resolve();
  for (const reply of await Promise.all(answered)) assert.equal(reply.ack?.offset, 5);
  assert.deepEqual(batches, [3]);
});

test("A2, E4 an acknowledgement that cannot be stored is answered so, and can be repeated", async (t) => {
  let failing = false;
  const { gateway, at } = await begin(t, async (call, go) => {
    if (failing && call === "cursors.write") throw new Error("no route to the cursors");
    return go();
  });
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone", start: "earliest" });
  await ann.data(5);
  failing = true;
  const error = await ann.refused("ack", at(3));
  assert.deepEqual([error.code, error.temporary], [402, true]);
  failing = false;
  assert.equal((await ann.ask("ack", at(3))).offset, 3);
  ann.cut();
  assert.equal((await (await gateway.connectAs("ann")).subscribe("a", { durable: "phone" })).cursor?.offset, 3);
});

test("A11, E4 a subscription whose message failed too often ends even if its cursor cannot be stored", async (t) => {
  let failing = false;
  const { gateway, at } = await begin(t, async (call, go) => {
    if (failing && call === "cursors.write") throw new Error("no route to the cursors");
    return go();
  });
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone", start: "earliest" });
  await ann.data(5);
  for (let times = 1; times < 5; times++) {
    await ann.ask("nack", at(5));
    await gateway.clock.advance(60_000);
    await ann.data(1);
  }
  failing = true;
  assert.equal((await ann.refused("nack", at(5))).code, 402);
  assert.equal((await ann.next("unsubscribe")).code, 2002);
});

test("R11, S12 a cursor of an epoch that is over is told as a gap, and begins anew in the present one", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const before = new MemoryBackbone({}, clock, store);
  await before.open();
  const gateway = await openGateway(t, { jwt: true, clock, backbone: before });
  const ann = await gateway.connectAs("ann");
  await ann.subscribe("a", { durable: "phone" });
  await gateway.publishNumbers("a", 1, 3);
  await ann.data(3);
  ann.cut();
  await gateway.stop();

  // The messages are lost, the cursors are not.
  const recovered = new MemoryStore(clock);
  for (const [key, cursor] of store.cursors) recovered.cursors.set(key, cursor);
  const after = new MemoryBackbone({}, clock, recovered);
  await after.open();
  const next = await openGateway(t, { jwt: true, clock, backbone: after });
  await next.publishNumbers("a", 11, 12);
  const back = await next.connectAs("ann");
  await back.subscribe("a", { durable: "phone" });
  const gap = await back.next("gap");
  assert.deepEqual(gap, { from: 1, to: 0, reason: "epoch", epoch: recovered.epoch });
  const publications = await back.publications(2);
  assert.deepEqual(
    publications.map(({ data, redelivered }) => [data, redelivered]),
    [
      [11, undefined],
      [12, undefined],
    ],
  );
  assert.equal((await back.refused("ack", { channel: "a", offset: 1, epoch: store.epoch })).code, 112);
  await back.ask("ack", { channel: "a", offset: 1, epoch: recovered.epoch });
  back.cut();
  const again = await next.connectAs("ann");
  assert.deepEqual((await again.subscribe("a", { durable: "phone" })).cursor, { offset: 1, epoch: recovered.epoch });
});
