import assert from "node:assert/strict";
import { test } from "node:test";
import type { Method } from "@todoku/protocol";
import { openGateway } from "../test-gateway.ts";

const position = { offset: 0, epoch: "" };
/** Every request that names a channel. */
const REQUESTS: readonly (readonly [Method, object])[] = [
  ["subscribe", {}],
  ["unsubscribe", {}],
  ["publish", { data: 1 }],
  ["history", {}],
  ["presence", {}],
  ["presence_stats", {}],
];

test("F16 a channel of a namespace that is not configured is answered 102, whatever is asked", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  for (const [method, request] of REQUESTS) {
    const error = await client.refused(method, { ...request, channel: "nowhere:1" });
    assert.deepEqual(error, { code: 102, message: "unknown channel" }, method);
  }
  assert.equal((await client.refused("subscribe", { channel: "" })).code, 107);
});

test("F15, F13 a name that is none is answered 107, with what is wrong with it", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  const all = [...REQUESTS, ["ack", position], ["nack", position], ["sub_refresh", { token: "t" }]] as const;
  for (const [method, request] of all) {
    const error = await client.refused(method, { ...request, channel: "two words" });
    assert.equal(error.code, 107);
    assert.match(error.message, new RegExp(`^bad request: ${method}\\.channel has a character other than`));
  }
});

test("E6 a close reason fits into its 123 bytes, whatever was sent", async (t) => {
  const gateway = await openGateway(t);
  for (const name of ["日".repeat(40), "x".repeat(1000), "\u{1f600}".repeat(16), "\u0000".repeat(32)]) {
    const client = await gateway.connect();
    client.sendText(JSON.stringify({ id: 1, [name]: {} }));
    const closing = await client.closed;
    assert.equal(closing?.code, 3501);
    assert.match(closing.reason, /^bad request: unknown command "/);
    assert.ok(Buffer.byteLength(closing.reason) <= 123, closing.reason);
    assert.ok(!closing.reason.includes("\ufffd"));
  }
});

test("C13 the application moves the end of a connection, and the client is told; or it ends it at once", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const { operations } = gateway.gateway;
  const ann = await gateway.connectAs("ann", { ttl: 60 });
  const client = ann.connected.client;
  const expireAt = gateway.clock.now() / 1000 + 600;
  assert.equal(await operations.refresh({ user: "ann" }, { expireAt }), 1);
  assert.deepEqual(await ann.next("refresh"), { client, version: "1.2.3", expires: true, ttl: 600 });
  await gateway.clock.advance(500_000);
  assert.equal(ann.socket.closing, undefined);
  assert.equal(await operations.refresh({ user: "ann" }, { expired: true }), 1);
  assert.deepEqual(await ann.closed, { code: 3005, reason: "connection expired" });
});
