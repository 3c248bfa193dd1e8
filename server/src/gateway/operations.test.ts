import assert from "node:assert/strict";
import { test } from "node:test";
import { openGateway } from "../test-gateway.ts";

test("C13 the server's side may move the end of a user's connections, or end them as expired", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const { operations } = gateway.gateway;
  const [ann, bob] = [await gateway.connectAs("ann", { ttl: 60 }), await gateway.connectAs("bob")];
  const expireAt = gateway.clock.now() / 1000 + 600;
  assert.equal(await operations.refresh({ user: "ann" }, { expireAt }), 1);
  assert.deepEqual(await ann.next("refresh"), {
    client: ann.connected.client,
    version: "1.2.3",
    expires: true,
    ttl: 600,
  });
  await gateway.clock.advance(624_000);
  assert.equal(ann.socket.closing, undefined);
  assert.equal(await operations.refresh({ user: "ann" }, { expired: true }), 1);
  assert.equal((await ann.closed)?.code, 3005);
  assert.equal(bob.socket.closing, undefined);
});

test("info and channels count what is there now", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const { operations } = gateway.gateway;
  const [ann, also, bob] = [
    await gateway.connectAs("ann"),
    await gateway.connectAs("ann"),
    await gateway.connectAs("bob"),
  ];
  gateway.client();
  for (const client of [ann, also, bob]) await client.subscribe("room.1");
  await bob.subscribe("live:1");
  await gateway.clock.advance(9000);
  const [{ uid, ...info } = {}] = await operations.info();
  assert.match(String(uid), /^[0-9a-f-]{36}$/);
  assert.deepEqual(info, {
    name: "test",
    version: "1.2.3",
    num_clients: 3,
    num_users: 2,
    num_subs: 4,
    num_channels: 2,
    uptime: 9,
  });
  assert.deepEqual(await operations.channels(), { "room.1": { num_clients: 3 }, "live:1": { num_clients: 1 } });
  assert.deepEqual(await operations.channels("room*"), { "room.1": { num_clients: 3 } });
  bob.cut();
  assert.deepEqual(await operations.channels(), { "room.1": { num_clients: 2 } });
  assert.deepEqual(await operations.presenceStats("room.1"), { num_clients: 2, num_users: 1 });
});

test("a server-side subscription that cannot be made rejects, and leaves the connection as it was", async (t) => {
  const gateway = await openGateway(t, { client: { channels: 1 } });
  const client = await gateway.connect();
  await client.subscribe("a");
  await assert.rejects(gateway.gateway.operations.subscribe({ user: "" }, "b"), { code: 106 });
  await gateway.publish("a", 1);
  assert.deepEqual(await client.data(1), [1]);
  assert.deepEqual(await client.rest(), []);
});
