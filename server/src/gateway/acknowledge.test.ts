import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Position, SubscribeRequest } from "@todoku/protocol";
import {
  openGateway,
  numbers,
  type ConnectedClient,
  type TestGateway,
  type TestGatewayOptions,
} from "../test-gateway.ts";

const SECOND = 1000;

/** A gateway with `count` messages on channel `a`, and a client that acknowledges them. */
async function begin(
  context: TestContext,
  count: number,
  { request = {}, ...options }: TestGatewayOptions & { readonly request?: Omit<SubscribeRequest, "channel"> } = {},
): Promise<{ gateway: TestGateway; client: ConnectedClient; at: (offset: number) => Position & { channel: string } }> {
  const gateway = await openGateway(context, options);
  await gateway.publishNumbers("a", 1, count);
  const client = await gateway.connect();
  const { epoch = "" } = await client.subscribe("a", { start: "earliest", ack: true, ...request });
  return { gateway, client, at: (offset) => ({ channel: "a", offset, epoch }) };
}

test("A1, A2, A3 at most in_flight messages are under way, and an acknowledgement of the last makes room for as many", async (t) => {
  const { client, at } = await begin(t, 10, { request: { in_flight: 3 } });
  assert.deepEqual(await client.data(3), [1, 2, 3]);
  assert.deepEqual(await client.rest(), []);
  const { channel, ...third } = at(3);
  assert.deepEqual(await client.ask("ack", at(3)), third, "the position that is acknowledged now");
  assert.deepEqual(await client.data(3), [4, 5, 6]);
  client.send({ ack: at(4) });
  assert.deepEqual(await client.data(1), [7]);
  assert.deepEqual(await client.rest(), []);
  assert.equal(channel, "a");
});

test("S14, A3 without in_flight a hundred are under way, also of those that are published live", async (t) => {
  const { gateway, client, at } = await begin(t, 0);
  await gateway.publishNumbers("a", 1, 150);
  assert.deepEqual(await client.data(100), numbers(1, 100));
  assert.deepEqual(await client.rest(), []);
  await client.ask("ack", at(150).offset === 150 ? at(100) : at(0));
  assert.deepEqual(await client.data(50), numbers(101, 150));
});

test("S14 a channel without a log ignores ack and in_flight", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  assert.deepEqual(await client.subscribe("live:a", { ack: true, in_flight: 1 }), {});
  for (let i = 0; i < 3; i++) await gateway.publish("live:a", i);
  assert.deepEqual(await client.data(3), [0, 1, 2]);
  assert.equal((await client.refused("ack", { channel: "live:a", offset: 1, epoch: "" })).code, 107);
});

test("A4 an acknowledgement at or below what is acknowledged changes nothing", async (t) => {
  const { client, at } = await begin(t, 3);
  await client.data(3);
  await client.ask("ack", at(2));
  for (const offset of [2, 1, 0]) assert.equal((await client.ask("ack", at(offset))).offset, 2);
});

test("A5, A6 what was never sent, is not subscribed or of another epoch cannot be acknowledged", async (t) => {
  const { gateway, client, at } = await begin(t, 3, { request: { in_flight: 2 } });
  await client.data(2);
  await client.subscribe("b");
  for (const method of ["ack", "nack"] as const) {
    assert.equal((await client.refused(method, at(3))).code, 107);
    assert.match((await client.refused(method, { ...at(1), channel: "b" })).message, /subscribe with ack: true/);
    assert.equal((await client.refused(method, { ...at(1), channel: "c" })).code, 107);
    assert.equal((await client.refused(method, { ...at(1), epoch: "another" })).code, 112);
  }
  assert.equal((await client.ask("ack", at(0))).offset, 0);
  assert.equal(gateway.failures.length, 0);
});

test("A7, A9 what could not be handled comes again with all after it, after a delay that doubles", async (t) => {
  const { gateway, client, at } = await begin(t, 5);
  assert.equal(
    (await client.publications(5)).some(({ redelivered }) => redelivered),
    false,
  );
  for (const delay of [SECOND, 2 * SECOND, 4 * SECOND]) {
    assert.deepEqual(await client.ask("nack", at(3)), {});
    await gateway.clock.advance(delay - 1);
    assert.deepEqual(await client.rest(), []);
    await gateway.clock.advance(1);
    const again = await client.publications(3);
    assert.deepEqual(
      again.map(({ data, redelivered }) => [data, redelivered]),
      [
        [3, true],
        [4, true],
        [5, true],
      ],
    );
    assert.deepEqual(
      again.map(({ prev }) => prev),
      [2, 3, 4],
    );
  }
  await gateway.publish("a", 6);
  assert.equal((await client.next("pub")).redelivered, undefined);
});

test("A7 the delay does not grow beyond its last, and the first failure of another message is its first", async (t) => {
  const { gateway, client, at } = await begin(t, 3, {
    namespaces: { "": { subscribe: "any", retention: {}, redelivery: { max_attempts: 100, backoff: "1s..3s" } } },
  });
  await client.data(3);
  const failed = async (offset: number, delay: number): Promise<void> => {
    await client.ask("nack", at(offset));
    await gateway.clock.advance(delay - 1);
    assert.deepEqual(await client.rest(), []);
    await gateway.clock.advance(1);
    assert.equal((await client.publications(4 - offset))[0]?.offset, offset);
  };
  for (const delay of [SECOND, 2 * SECOND, 3 * SECOND, 3 * SECOND]) await failed(2, delay);
  await failed(1, SECOND);
});

test("A7 what is published while a message waits to come again comes after it", async (t) => {
  const { gateway, client, at } = await begin(t, 1);
  await client.data(1);
  await client.ask("nack", at(1));
  await gateway.publish("a", 2);
  assert.deepEqual(await client.rest(), []);
  await gateway.clock.advance(SECOND);
  assert.deepEqual(await client.data(2), [1, 2]);
});

test("A7, A1 a message that was acknowledged after all does not come again, and nobody waits for it", async (t) => {
  const { gateway, client, at } = await begin(t, 3, { request: { in_flight: 3 } });
  await gateway.publish("a", 4);
  await client.data(3);
  await client.ask("nack", at(2));
  await client.ask("ack", at(3));
  assert.deepEqual(await client.data(1), [4]);
  await gateway.clock.advance(SECOND);
  assert.deepEqual(await client.rest(), []);
});

test("A8 a nack of what is not under way changes nothing", async (t) => {
  const { gateway, client, at } = await begin(t, 3);
  await client.data(3);
  await client.ask("ack", at(2));
  for (const offset of [1, 2]) assert.deepEqual(await client.ask("nack", at(offset)), {});
  await client.ask("nack", at(3));
  assert.deepEqual(await client.ask("nack", at(3)), {}, "it is on its way back");
  await gateway.clock.advance(SECOND);
  assert.deepEqual(await client.data(1), [3]);
  await gateway.clock.advance(60 * SECOND);
  assert.deepEqual(await client.rest(), []);
});

test("a subscription that ends while a message waits to come again leaves no timer", async (t) => {
  const { client, at } = await begin(t, 1);
  await client.data(1);
  await client.ask("nack", at(1));
  await client.ask("unsubscribe", { channel: "a" });
  // Stopping the gateway at the end of the test asserts it.
});
