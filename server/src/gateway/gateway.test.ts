import assert from "node:assert/strict";
import { test } from "node:test";
import { openGateway } from "../test-gateway.ts";

test("a drain does not wait for a command that never ends", async (t) => {
  const gateway = await openGateway(t, { hooks: { onRpc: () => new Promise(() => {}) } });
  const client = await gateway.connect();
  client.send({ id: 9, rpc: {} });
  const drained = gateway.gateway.drain(0);
  await gateway.clock.advance(4999);
  assert.equal(client.socket.closing, undefined);
  await gateway.clock.advance(1);
  await drained;
  assert.equal((await client.closed)?.code, 3001);
});
