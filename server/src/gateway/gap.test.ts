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
