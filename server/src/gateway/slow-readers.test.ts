import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../manual-clock.ts";
import { numbers, openGateway } from "../test-gateway.ts";

const QUEUE_BYTES = 4096;
const client = { queue_bytes: "4KiB" };

test("R8 on a channel with a log a client that does not read costs its bound and one message, and receives everything when it reads", async (t) => {
  const gateway = await openGateway(t, { client });
  const [slow, plain, quick] = [
    await gateway.connect(),
    await gateway.connect({ plain: true }),
    await gateway.connect(),
  ];
  for (const one of [slow, plain, quick]) await one.subscribe("a");
  slow.socket.hold();
  plain.socket.hold();
  const received: unknown[] = [];
  for (const n of numbers(1, 300)) {
    await gateway.publish("a", padded(n));
    // It delays no other: each message is there before the next one is published.
    received.push(...(await quick.data(1)).map(numberIn));
  }
  assert.deepEqual(received, numbers(1, 300));
  await settle();
  for (const { socket } of [slow, plain]) {
    assert.ok(socket.mostBuffered <= QUEUE_BYTES + 512, `${socket.mostBuffered} bytes waited`);
    assert.ok(socket.mostBuffered >= QUEUE_BYTES, "it was slow");
  }
  for (const one of [slow, plain]) {
    one.socket.release();
    assert.deepEqual((await one.data(300)).map(numberIn), numbers(1, 300));
    assert.deepEqual(await one.rest(), []);
    assert.equal(one.socket.closing, undefined);
  }
});

test("R8 a message larger than the whole bound is delivered all the same", async (t) => {
  const gateway = await openGateway(t, { client: { queue_bytes: "1KiB" } });
  const slow = await gateway.connect();
  await slow.subscribe("a");
  await slow.subscribe("live:1");
  for (const channel of ["a", "live:1"]) {
    await gateway.publish(channel, "x".repeat(5000));
    assert.deepEqual(await slow.data(1, channel), ["x".repeat(5000)]);
  }
});

test("R9 on a channel without a log what does not fit is dropped, and told once there is room, before the next message", async (t) => {
  const gateway = await openGateway(t, { client });
  const [slow, plain, quick] = [
    await gateway.connect(),
    await gateway.connect({ plain: true }),
    await gateway.connect(),
  ];
  for (const one of [slow, plain, quick]) await one.subscribe("live:1");
  for (const one of [slow, plain]) one.socket.hold();
  for (const n of numbers(1, 100)) {
    await gateway.publish("live:1", padded(n));
    assert.deepEqual((await quick.data(1)).map(numberIn), [n]);
  }
  await settle();
  for (const one of [slow, plain]) one.socket.release();
  await gateway.publish("live:1", padded(101));

  const kinds = (await slow.rest()).map(({ push }) => (push?.gap ? push.gap : numberIn(push?.pub?.data)));
  const first = kinds.findIndex((kind) => typeof kind === "object");
  assert.deepEqual(kinds.slice(0, first), numbers(1, first), "what fitted came, in order");
  assert.deepEqual(kinds.slice(first), [{ from: 0, to: 100 - first, reason: "dropped" }, 101]);

  const seen = (await plain.rest()).map(({ push }) => numberIn(push?.pub?.data));
  assert.ok(seen.length < 101 && seen.at(-1) === 101, "the plain protocol has no words for it");
  assert.equal(plain.socket.closing, undefined);
});

function padded(n: number): { n: number; pad: string } {
  return { n, pad: "x".repeat(200) };
}

function numberIn(data: unknown): number {
  return (data as { n: number }).n;
}

test("R8 what waits for all readers together is bounded too: those that do not read wait for the log, those that read notice nothing", async (t) => {
  const gateway = await openGateway(t, { client: { queue_bytes: "64KiB", queue_bytes_total: "16KiB" } });
  const readers = await Promise.all(numbers(1, 20).map(() => gateway.connect()));
  const quick = await gateway.connect();
  for (const one of [...readers, quick]) await one.subscribe("a");
  for (const { socket } of readers) socket.hold();
  for (const n of numbers(1, 200)) {
    await gateway.publish("a", padded(n));
    assert.deepEqual((await quick.data(1)).map(numberIn), [n]);
  }
  await settle();
  const { total } = gateway.gateway.waiting();
  assert.ok(total >= 16 * 1024 && total < 1.25 * 16 * 1024, `${total} bytes wait`);
  for (const one of readers) {
    one.socket.release();
    assert.deepEqual((await one.data(200)).map(numberIn), numbers(1, 200));
    assert.equal(one.socket.closing, undefined);
  }
});

test("R8 where answers that nobody reads go beyond the bound of all, those for which most waits are cut, and no other", async (t) => {
  const gateway = await openGateway(t, { client: { queue_bytes: "64KiB", queue_bytes_total: "64KiB" } });
  for (const n of numbers(1, 100)) await gateway.publish("a", padded(n));
  const askers = await Promise.all(numbers(1, 8).map(() => gateway.connect()));
  const modest = await gateway.connect();
  modest.socket.hold();
  modest.send({ id: 5, history: { channel: "a", limit: 2 } });
  for (const one of askers) {
    one.socket.hold();
    one.send({ id: 5, history: { channel: "a", limit: 50 } });
    await settle();
  }
  assert.ok(gateway.gateway.waiting().total <= 1.25 * 64 * 1024, `${gateway.gateway.waiting().total} bytes wait`);
  const cut = askers.filter(({ socket }) => socket.closing?.code === 3008);
  assert.ok(cut.length > 0 && cut.length < askers.length, `${cut.length} were cut`);
  assert.equal(modest.socket.closing, undefined);
  assert.equal(gateway.gateway.connections, askers.length + 1 - cut.length);
});
