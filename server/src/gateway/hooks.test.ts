/** The application's own commands, and its hand on connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, TodokuError, type Json } from "@todoku/protocol";
import { openGateway } from "../test-gateway.ts";

test("X1 rpc is answered by the hook, with data or without, and 104 where there is no hook", async (t) => {
  const gateway = await openGateway(t, {
    jwt: true,
    hooks: { onRpc: ({ user }, method, data) => (method === "whoami" ? { user, data: data ?? null } : undefined) },
  });
  const client = await gateway.connectAs("ann");
  assert.deepEqual(await client.ask("rpc", { method: "whoami", data: [1] }), { data: { user: "ann", data: [1] } });
  assert.deepEqual(await client.ask("rpc", { method: "whoami" }), { data: { user: "ann", data: null } });
  assert.deepEqual(await client.ask("rpc", {}), {});

  const bare = await openGateway(t);
  const other = await bare.connect();
  assert.deepEqual(await other.refused("rpc", { method: "whoami" }), { code: 104, message: "method not found" });
});

test("X1, X4 what a hook throws is answered with its error, anything else with 100, and the next call is answered again", async (t) => {
  const gateway = await openGateway(t, {
    hooks: {
      onRpc: async (_caller, method) => {
        if (method === "busy") throw new TodokuError(ERRORS.tooManyRequests, "one report at a time");
        if (method === "broken") throw new TypeError("secret is undefined");
        return method;
      },
    },
  });
  const client = await gateway.connect();
  const busy = { code: 111, message: "too many requests: one report at a time", temporary: true };
  assert.deepEqual(await client.refused("rpc", { method: "busy" }), busy);
  const broken = { code: 100, message: "internal server error", temporary: true };
  assert.deepEqual(await client.refused("rpc", { method: "broken" }), broken);
  assert.deepEqual(await client.ask("rpc", { method: "fine" }), { data: "fine" });
  assert.match(String(gateway.failures[0]), /secret is undefined/, "the operator sees why");
});

test("X2 send reaches the hook and has no answer, whatever becomes of it", async (t) => {
  const heard: Json[] = [];
  const gateway = await openGateway(t, {
    hooks: {
      onSend: (_caller, data) => {
        heard.push(data);
        if (data === "broken") throw new Error("a bug");
      },
    },
  });
  const client = await gateway.connect();
  client.send({ send: { data: { typing: true } } }, { send: { data: "broken" } }, { send: { data: null } });
  assert.deepEqual(await client.rest(), []);
  assert.deepEqual(heard, [{ typing: true }, "broken", null]);
  assert.equal(client.socket.closing, undefined);
});

test("X5 the application disconnects a user, or one connection, with its own code or 3503", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const { operations } = gateway.gateway;
  const [phone, desk, bob] = [
    await gateway.connectAs("ann"),
    await gateway.connectAs("ann"),
    await gateway.connectAs("bob"),
  ];
  const user = "ann";
  const reason = { code: 4500, reason: "see you" };
  assert.equal(await operations.disconnect({ user, client: phone.connected.client }, reason), 1);
  assert.deepEqual(await phone.closed, reason);
  assert.equal(await operations.disconnect({ user }), 1);
  assert.deepEqual(await desk.closed, { code: 3503, reason: "do not reconnect" });
  assert.equal(await operations.disconnect({ user }), 0);
  await assert.rejects(operations.disconnect({ user: "bob" }, { code: 42, reason: "" }), RangeError);
  assert.equal(bob.socket.closing, undefined);
});
