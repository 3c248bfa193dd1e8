import assert from "node:assert/strict";
import { test } from "node:test";
import { numbers, openGateway } from "../test-gateway.ts";

test("A17 a gap that was lost with its connection is told again, until it is acknowledged", async (t) => {
  const gateway = await openGateway(t, { namespaces: { short: { subscribe: "any", retention: { messages: 2 } } } });
  const durable = { start: "earliest", durable: "phone" } as const;
  const first = await gateway.connect();
  await first.subscribe("short:a", durable);
  await gateway.publish("short:a", 1);
  const [{ offset = 0 } = {}] = await first.publications(1);
  const { epoch } = (await gateway.namespace("short:a").log!.heads(["short:a"]))[0]!;
  await first.call("ack", { channel: "short:a", epoch, offset });
  first.cut();
  for (const n of numbers(2, 6)) await gateway.publish("short:a", n);

  // It goes on behind the gap and is cut before it says that it knows of it.
  const second = await gateway.connect();
  assert.equal((await second.subscribe("short:a", durable)).cursor?.offset, 1);
  const missing = { from: 2, to: 4, reason: "retention", epoch };
  assert.deepEqual((await second.take(({ push }) => push?.gap !== undefined)).push?.gap, missing);
  second.cut();

  const third = await gateway.connect();
  assert.equal((await third.subscribe("short:a", durable)).cursor?.offset, 1);
  assert.deepEqual((await third.take(({ push }) => push?.gap !== undefined)).push?.gap, missing);
  await third.call("ack", { channel: "short:a", epoch, offset: 4 });
  third.cut();

  const fourth = await gateway.connect();
  assert.equal((await fourth.subscribe("short:a", durable)).cursor?.offset, 4);
  assert.deepEqual(await fourth.data(2), [5, 6]);
});

test("A7 a message that fails after a gap behind it was told is not forgotten", async (t) => {
  const gateway = await openGateway(t, { namespaces: { short: { subscribe: "any", retention: { messages: 2 } } } });
  const reader = await gateway.connect();
  const { epoch = "" } = await reader.subscribe("short:a", { durable: "phone", in_flight: 2 });
  for (const n of numbers(1, 6)) await gateway.publish("short:a", n);
  await reader.publications(2);
  // The second is under way while there is room again, and what follows it is gone.
  await reader.call("ack", { channel: "short:a", offset: 1, epoch });
  const gap = async (): Promise<unknown> => (await reader.take(({ push }) => push?.gap !== undefined)).push?.gap;
  assert.deepEqual(await gap(), { from: 3, to: 4, reason: "retention", epoch });
  assert.deepEqual(await reader.data(1), [5]);
  await reader.call("nack", { channel: "short:a", offset: 2, epoch });
  await gateway.clock.advance(1000);
  // It is gone too by now, which is told; then all goes on.
  assert.deepEqual(await gap(), { from: 2, to: 4, reason: "retention", epoch });
  assert.deepEqual(await reader.data(2), [5, 6]);
});
