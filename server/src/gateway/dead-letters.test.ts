import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Position } from "@todoku/protocol";
import type { Backbone } from "../backbones/contract.ts";
import { withFaults } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { openGateway, type ConnectedClient, type TestGateway } from "../test-gateway.ts";

const rules = { backbone: "default", subscribe: "any", publish: "any", history: "any", retention: {} } as const;
const NAMESPACES = {
  jobs: { ...rules, redelivery: { max_attempts: 2, backoff: "1s..1s", dead_letters: "dead:jobs" } },
  plain: { ...rules, redelivery: { max_attempts: 2, backoff: "1s..1s" } },
  dead: rules,
} as const;

const DEAD = "dead:jobs";

async function open(context: TestContext, backbone?: { backbone: Backbone; clock: ManualClock }): Promise<TestGateway> {
  return openGateway(context, { jwt: true, namespaces: NAMESPACES, ...backbone });
}

/** Says that handling the message failed, and waits until it comes again. */
async function failOnce(
  gateway: TestGateway,
  client: ConnectedClient,
  at: Position & { channel: string },
): Promise<void> {
  await client.ask("nack", at);
  await gateway.clock.advance(1000);
  assert.equal((await client.next("pub")).offset, at.offset);
}

async function deadLetters(gateway: TestGateway): Promise<unknown[]> {
  const client = await gateway.connectAs("operator");
  const { publications } = await client.ask("history", { channel: DEAD, limit: -1 });
  return publications.map(({ data, tags }) => [data, tags?.["dead_letter_subscriber"]]);
}

test("A10, A12 a message that failed too often goes to the dead letters, and a gap stands in its place", async (t) => {
  const gateway = await open(t);
  await gateway.publish("jobs:1", "bad", { tags: { color: "red" } });
  await gateway.publish("jobs:1", "good");
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", durable: "worker", in_flight: 1 });
  const bad = { channel: "jobs:1", offset: 1, epoch };
  assert.deepEqual(await ann.data(1), ["bad"]);
  await failOnce(gateway, ann, bad);
  await ann.ask("nack", bad);
  assert.deepEqual(await ann.next("gap"), { from: 1, to: 1, reason: "failed", epoch });
  assert.deepEqual(await ann.data(1), ["good"]);

  const operator = await gateway.connectAs("operator");
  const { publications } = await operator.ask("history", { channel: DEAD, limit: -1 });
  assert.equal(publications.length, 1);
  assert.equal(publications[0]?.data, "bad");
  assert.deepEqual(publications[0]?.tags, {
    color: "red",
    dead_letter_of: `jobs:1 ${epoch} 1`,
    dead_letter_subscriber: "worker",
    dead_letter_user: "ann",
    dead_letter_attempts: "2",
  });
  ann.cut();
  const back = await gateway.connectAs("ann");
  const { cursor } = await back.subscribe("jobs:1", { durable: "worker" });
  assert.deepEqual(cursor, { epoch, offset: 1 }, "it does not come again");
});

test("A10 a message given up while an earlier one is still handled is acknowledged with that one", async (t) => {
  const gateway = await open(t);
  for (const data of ["slow", "bad", "good"]) await gateway.publish("jobs:1", data);
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", durable: "worker" });
  const at = (offset: number): Position & { channel: string } => ({ channel: "jobs:1", offset, epoch });
  await ann.data(3);
  await failOnce(gateway, ann, at(2));
  await ann.data(1);
  await ann.ask("nack", at(2));
  assert.equal((await ann.next("gap")).reason, "failed");
  assert.deepEqual(await ann.data(1), ["good"]);
  assert.equal((await ann.ask("ack", at(1))).offset, 2);
});

test("A11 without dead letters the subscription ends instead, and its cursor stays before the message", async (t) => {
  const gateway = await open(t);
  await gateway.publish("plain:1", "bad");
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("plain:1", { start: "earliest", durable: "worker" });
  const bad = { channel: "plain:1", offset: 1, epoch };
  await ann.data(1);
  await failOnce(gateway, ann, bad);
  await ann.ask("nack", bad);
  assert.deepEqual(await ann.next("unsubscribe"), { code: 2002, reason: "a message failed too often" });
  const { cursor } = await ann.subscribe("plain:1", { durable: "worker" });
  assert.equal(cursor?.offset, 0);
  assert.equal((await ann.next("pub")).redelivered, true);
  await ann.ask("nack", bad);
  assert.equal((await ann.next("unsubscribe")).code, 2002, "it has failed often enough");
});

test("A10 subscribers with long names do not share a dead letter", async (t) => {
  const gateway = await open(t);
  await gateway.publish("jobs:1", "bad");
  const user = "u".repeat(200);
  for (const name of ["one", "two"]) {
    const ann = await gateway.connectAs(user);
    const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", durable: name });
    const bad = { channel: "jobs:1", offset: 1, epoch };
    await ann.data(1);
    await failOnce(gateway, ann, bad);
    await ann.ask("nack", bad);
    await ann.next("gap");
  }
  assert.deepEqual(await deadLetters(gateway), [
    ["bad", "one"],
    ["bad", "two"],
  ]);
});

/** A backbone whose appends to the dead letters wait until they are let through, or fail. */
async function withGate(): Promise<{ backbone: Backbone; clock: ManualClock; gate: { open: () => Promise<void> } }> {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const gate = { open: async (): Promise<void> => {} };
  const backbone = withFaults(memory, async (call, go, channel) => {
    if (call === "log.append" && channel === DEAD) await gate.open();
    return go();
  });
  return { clock, gate, backbone };
}

test("A10 nothing is handed out while the dead letter is being stored", async (t) => {
  const { gate, ...backbone } = await withGate();
  const gateway = await open(t, backbone);
  const stored = Promise.withResolvers<void>();
  await gateway.publish("jobs:1", "bad");
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", ack: true });
  const bad = { channel: "jobs:1", offset: 1, epoch };
  await ann.data(1);
  await failOnce(gateway, ann, bad);
  gate.open = () => stored.promise;
  const giving = ann.ask("nack", bad);
  await gateway.publish("jobs:1", "good");
  ann.socket.onDrained();
  assert.deepEqual(await ann.rest(), []);
  stored.resolve();
  await giving;
  assert.equal((await ann.next("gap")).reason, "failed");
  assert.deepEqual(await ann.data(1), ["good"]);
  assert.deepEqual(await ann.rest(), []);
});

test("A10 a message that is acknowledged while its dead letter is stored does not move delivery back", async (t) => {
  const { gate, ...backbone } = await withGate();
  const gateway = await open(t, backbone);
  const stored = Promise.withResolvers<void>();
  for (const data of ["bad", "good"]) await gateway.publish("jobs:1", data);
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", ack: true });
  const at = (offset: number): Position & { channel: string } => ({ channel: "jobs:1", offset, epoch });
  await ann.data(2);
  await failOnce(gateway, ann, at(1));
  await ann.data(1);
  gate.open = () => stored.promise;
  const giving = ann.ask("nack", at(1));
  assert.equal((await ann.ask("ack", at(2))).offset, 2);
  stored.resolve();
  await giving;
  assert.equal((await ann.ask("ack", at(2))).offset, 2);
  await gateway.publish("jobs:1", "next");
  assert.deepEqual(await ann.data(1), ["next"]);
  assert.deepEqual(await ann.rest(), []);
});

test("A10 a dead letter that cannot be stored is not skipped: the message comes again", async (t) => {
  const { gate, ...backbone } = await withGate();
  const gateway = await open(t, backbone);
  await gateway.publish("jobs:1", "bad");
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", ack: true });
  const bad = { channel: "jobs:1", offset: 1, epoch };
  await ann.data(1);
  await failOnce(gateway, ann, bad);
  gate.open = async () => {
    throw new Error("the disk of the dead letters is full");
  };
  await failOnce(gateway, ann, bad);
  assert.equal(gateway.failures.length, 1);
  gate.open = async () => {};
  await ann.ask("nack", bad);
  assert.equal((await ann.next("gap")).reason, "failed");
  assert.equal((await deadLetters(gateway)).length, 1);
});

test("R10, A10 a message that is no longer kept when it is given up is told as a gap of retention", async (t) => {
  const gateway = await open(t);
  await gateway.publish("jobs:1", "bad");
  const ann = await gateway.connectAs("ann");
  const { epoch = "" } = await ann.subscribe("jobs:1", { start: "earliest", ack: true });
  const bad = { channel: "jobs:1", offset: 1, epoch };
  await ann.data(1);
  await failOnce(gateway, ann, bad);
  await gateway.backbone.log?.remove("jobs:1");
  await ann.ask("nack", bad);
  assert.deepEqual(await ann.next("gap"), { from: 1, to: 1, reason: "retention", epoch });
  assert.deepEqual(await deadLetters(gateway), []);
});
