import assert from "node:assert/strict";
import { test } from "node:test";
import type { Publication } from "@todoku/protocol";
import type { Range } from "../backbones/contract.ts";
import { withFaults, withLossyBus, type Fate } from "../backbones/faulty.ts";
import { MemoryBackbone, MemoryStore } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { numbers, openGateway, type ConnectedClient } from "../test-gateway.ts";

const SHORT = { short: { subscribe: "any", publish: "any", history: "any", retention: { messages: 5 } } } as const;

test("R3, R2 a message has the same id and time for all, live, recovered, redelivered and in history", async (t) => {
  const gateway = await openGateway(t);
  const live = await gateway.connect();
  const { epoch = "" } = await live.subscribe("a", { ack: true });
  await gateway.publish("a", 1);
  await gateway.clock.advance(1234);
  await gateway.publish("a", 2);
  const [, second] = await live.publications(2);
  assert.ok(second?.id);
  assert.equal(second.time, gateway.clock.now());
  assert.equal(second.prev, 1);
  await live.ask("nack", { channel: "a", offset: 2, epoch });
  await gateway.clock.advance(1000);
  const late = await gateway.connect();
  const recovered = await late.subscribe("a", { recover: true, offset: 1, epoch });
  const history = await late.ask("history", { channel: "a", limit: 1, reverse: true });
  const again = await live.next("pub");
  for (const { id, time } of [again, recovered.publications?.[0], history.publications[0]] as Publication[]) {
    assert.deepEqual([id, time], [second.id, second.time]);
  }
});

test("R4, C18 a client of the plain protocol receives plain publications, and one that uses anything of the extension extended ones", async (t) => {
  const gateway = await openGateway(t);
  await gateway.publish("a", 1, { tags: { k: "v" } });
  const fields = async (client: ConnectedClient): Promise<string[]> => Object.keys(await client.next("pub")).toSorted();
  const plain = await gateway.connect({ plain: true });
  const { epoch = "" } = await plain.subscribe("a");
  const acking = await gateway.connect({ plain: true });
  await acking.subscribe("a", { ack: true });
  const extended = await gateway.connect();
  await extended.subscribe("a");
  await gateway.publish("a", 2, { tags: { k: "v" } });
  assert.deepEqual(await fields(plain), ["data", "offset", "tags"]);
  assert.deepEqual(await fields(acking), ["data", "id", "offset", "prev", "tags", "time"]);
  assert.deepEqual(await fields(extended), ["data", "id", "offset", "prev", "tags", "time"]);
  await plain.ask("unsubscribe", { channel: "a" });
  const { publications = [] } = await plain.subscribe("a", { recover: true, offset: 1, epoch });
  assert.deepEqual(Object.keys(publications[0] ?? {}).toSorted(), ["data", "offset", "tags"]);
});

test("R7 a message that the bus lost comes with the next one", async (t) => {
  const fates: Fate[] = ["lost", "arrives"];
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const backbone = withLossyBus(memory, () => fates.shift() ?? "arrives");
  const gateway = await openGateway(t, { clock, backbone });
  const client = await gateway.connect();
  await client.subscribe("a");
  await gateway.publish("a", 1);
  assert.deepEqual(await client.rest(), []);
  await gateway.publish("a", 2);
  const [first, second] = await client.publications(2);
  assert.deepEqual([first?.data, first?.prev, second?.data, second?.prev], [1, 0, 2, 1]);
});

test("R7 a lost last message, which no later one shows, comes within 5 s", async (t) => {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const gateway = await openGateway(t, { clock, backbone: withLossyBus(memory, () => "lost") });
  const client = await gateway.connect();
  await client.subscribe("a");
  await gateway.publishNumbers("a", 1, 3);
  await gateway.clock.advance(4999);
  assert.deepEqual(await client.rest(), []);
  await gateway.clock.advance(1);
  assert.deepEqual(await client.data(3), [1, 2, 3]);
});

test("R7 so does one that was lost right after another had arrived", async (t) => {
  const fates: Fate[] = ["arrives", "lost"];
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const backbone = withLossyBus(memory, () => fates.shift() ?? "arrives");
  const gateway = await openGateway(t, { clock, backbone });
  const client = await gateway.connect();
  await client.subscribe("a");
  await clock.advance(4000);
  await gateway.publishNumbers("a", 1, 2);
  assert.deepEqual(await client.data(1), [1]);
  await clock.advance(5000);
  assert.deepEqual(await client.data(1), [2]);
});

test("R6 a log that lags behind its own bus makes no gap, and is waited for", async (t) => {
  let lag = 0;
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const backbone = withFaults(memory, async (call, go) => {
    const answer = await go();
    if (call !== "log.read") return answer;
    const range = answer as Range;
    const head = range.head - lag;
    return { ...range, head, messages: range.messages.filter(({ offset }) => offset <= head) } as typeof answer;
  });
  const gateway = await openGateway(t, { clock, backbone, client: { queue_bytes: "300B" } });
  const client = await gateway.connect();
  await client.subscribe("a");
  client.socket.hold();
  await gateway.publishNumbers("a", 1, 10);
  await client.rest();
  lag = 8;
  client.socket.release();
  const early = (await client.rest()).map(({ push }) => push?.pub?.offset);
  assert.deepEqual(early, numbers(1, early.length), "and nothing else");
  assert.ok(early.length < 10);
  lag = 0;
  await clock.advance(50);
  assert.deepEqual(await client.data(10 - early.length), numbers(early.length + 1, 10));
});

test("R7 a log that cannot be read for a while is read again, with one timer however many messages come", async (t) => {
  let failing = true;
  const fates: Fate[] = ["lost"];
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const faulty = withFaults(memory, async (call, go) => {
    if (failing && call === "log.read") throw new Error("the log is away");
    return go();
  });
  const gateway = await openGateway(t, { clock, backbone: withLossyBus(faulty, () => fates.shift() ?? "arrives") });
  const client = await gateway.connect();
  await client.subscribe("a");
  await gateway.publish("a", 1);
  const idle = clock.waiting;
  for (let n = 2; n <= 50; n++) {
    await gateway.publish("a", n);
    await client.rest();
  }
  assert.equal(clock.waiting, idle + 1);
  assert.equal(gateway.failures.length, 1);
  failing = false;
  await clock.advance(500);
  assert.deepEqual(await client.data(50), numbers(1, 50));
  assert.equal(clock.waiting, idle);
});

test("R10 messages that are no longer kept are told in their place", async (t) => {
  const gateway = await openGateway(t, { namespaces: SHORT });
  const { epoch = "" } = await gateway.publish("short:a", 1);
  await gateway.publishNumbers("short:a", 2, 10);
  const client = await gateway.connect();
  await client.subscribe("short:a", { start: { offset: 2, epoch } });
  assert.deepEqual(await client.next("gap"), { from: 3, to: 5, reason: "retention", epoch });
  const publications = await client.publications(5);
  assert.deepEqual(
    publications.map(({ data }) => data),
    numbers(6, 10),
  );
  assert.deepEqual(
    publications.map(({ prev }) => prev),
    numbers(5, 9),
  );
});

test("R10 a gap in what all readers wait for is found by each of them, and once", async (t) => {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const gateway = await openGateway(t, { clock, backbone: withLossyBus(memory, () => "lost"), namespaces: SHORT });
  const clients = [await gateway.connect(), await gateway.connect()];
  for (const client of clients) await client.subscribe("short:a");
  const { epoch = "" } = await gateway.publish("short:a", 1);
  await gateway.publishNumbers("short:a", 2, 10);
  await clock.advance(5000);
  for (const client of clients) {
    assert.deepEqual(await client.next("gap"), { from: 1, to: 5, reason: "retention", epoch });
    assert.deepEqual(await client.data(5), numbers(6, 10));
    assert.deepEqual(await client.rest(), []);
  }
});

test("R11 a position of another epoch, or beyond the head, is told as a gap, and delivery goes on from there", async (t) => {
  const gateway = await openGateway(t, { namespaces: SHORT });
  const { epoch = "" } = await gateway.publish("short:a", 1);
  await gateway.publishNumbers("short:a", 2, 7);
  const other = await gateway.connect();
  await other.subscribe("short:a", { start: { offset: 100, epoch: "long ago" } });
  assert.deepEqual(await other.next("gap"), { from: 1, to: 2, reason: "epoch", epoch });
  assert.deepEqual(await other.data(5), numbers(3, 7));
  const beyond = await gateway.connect();
  await beyond.subscribe("short:a", { start: { offset: 9, epoch } });
  assert.deepEqual(await beyond.next("gap"), { from: 8, to: 7, reason: "epoch", epoch });
  await gateway.publishNumbers("short:a", 8, 9);
  assert.deepEqual(await beyond.data(2), [8, 9]);
});

test("R11 an epoch that changes while readers are live is told to each of them", async (t) => {
  const clock = new ManualClock();
  const [old, recreated] = [new MemoryStore(clock), new MemoryStore(clock)];
  const [before, after] = [new MemoryBackbone({}, clock, old), new MemoryBackbone({}, clock, recreated)];
  await Promise.all([before.open(), after.open()]);
  let log = before.log;
  const backbone = { ...withFaults(before, (_call, go) => go()), log: switching(() => log) };
  const gateway = await openGateway(t, { clock, backbone });
  const clients = [await gateway.connect(), await gateway.connect()];
  for (const client of clients) await client.subscribe("a", { ack: true });
  await gateway.publishNumbers("a", 1, 3);
  for (const client of clients) await client.data(3);
  log = after.log;
  await gateway.publish("a", 11);
  await clock.advance(5000);
  for (const client of clients) {
    assert.deepEqual(await client.next("gap"), { from: 1, to: 0, reason: "epoch", epoch: recreated.epoch });
    const [publication] = await client.publications(1);
    assert.deepEqual([publication?.data, publication?.offset, publication?.redelivered], [11, 1, undefined]);
    assert.equal((await client.refused("ack", { channel: "a", offset: 3, epoch: old.epoch })).code, 112);
  }
  const fresh = await gateway.connect();
  assert.equal((await fresh.subscribe("a")).epoch, recreated.epoch);
});

function switching(log: () => MemoryBackbone["log"]): MemoryBackbone["log"] {
  return {
    append: (...args) => log().append(...args),
    read: (...args) => log().read(...args),
    heads: (...args) => log().heads(...args),
    remove: (...args) => log().remove(...args),
    channels: (...args) => log().channels(...args),
  };
}

test("R12, S10 a client of the plain protocol is unsubscribed with 2500 instead, and learns of the loss when it comes back", async (t) => {
  const gateway = await openGateway(t, { namespaces: SHORT, client: { queue_bytes: "200B" } });
  const client = await gateway.connect({ plain: true });
  const { epoch = "" } = await client.subscribe("short:a");
  client.socket.hold();
  await gateway.publishNumbers("short:a", 1, 30);
  await client.rest();
  client.socket.release();
  assert.deepEqual(await client.next("unsubscribe"), { code: 2500, reason: "insufficient state" });
  const received = client.inbox.splice(0).flatMap(({ push }) => push?.pub?.offset ?? []);
  const again = await client.subscribe("short:a", { recover: true, offset: received.at(-1) ?? 0, epoch });
  assert.deepEqual([again.recovered, again.offset], [false, 30]);
});
