import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../manual-clock.ts";
import { openGateway } from "../test-gateway.ts";

test("D4 connections are closed with 3001, evenly over the time that is given, those without connect too", async (t) => {
  const gateway = await openGateway(t);
  const clients = [await gateway.connect(), await gateway.connect(), gateway.client(), await gateway.connect()];
  const drained = gateway.gateway.drain(10_000);
  const open = () => clients.filter(({ socket }) => socket.closing === undefined).length;
  const counts: number[] = [];
  for (let second = 0; second <= 10; second++) {
    await settle();
    counts.push(open());
    await gateway.clock.advance(1000);
  }
  await drained;
  assert.deepEqual(counts, [3, 3, 3, 2, 2, 1, 1, 1, 0, 0, 0]);
  for (const { closed } of clients)
    assert.deepEqual(await closed, { code: 3001, reason: "shutdown, reconnect elsewhere" });
});

test("D4 what is under way is answered, and what was acknowledged is stored, before the drain is over", async (t) => {
  const answer = Promise.withResolvers<string>();
  const gateway = await openGateway(t, { hooks: { onRpc: () => answer.promise } });
  const client = await gateway.connect();
  const { epoch = "" } = await client.subscribe("a", { durable: "phone" });
  await gateway.publish("a", 1);
  await client.data(1);
  const id = client.newId;
  client.send({ id, rpc: {} }, { ack: { channel: "a", offset: 1, epoch } });
  let over = false;
  const drained = gateway.gateway.drain(0).then(() => (over = true));
  await settle();
  assert.equal(over, false);
  assert.equal(client.socket.closing, undefined);
  answer.resolve("done");
  await drained;
  assert.deepEqual((await client.reply(id)).rpc, { data: "done" });
  const { cursor } = await gateway.backbone.cursors!.claim({ channel: "a", user: "", name: "phone" });
  assert.deepEqual(cursor?.position, { epoch, offset: 1 });
});

test("D5 a command that comes once the connection's turn has come is not run and not answered", async (t) => {
  const answer = Promise.withResolvers<string>();
  const gateway = await openGateway(t, { hooks: { onRpc: () => answer.promise } });
  const client = await gateway.connect();
  const id = client.newId;
  client.send({ id, rpc: {} });
  const drained = gateway.gateway.drain(0);
  client.send({ id: client.newId, publish: { channel: "a", data: "too late" } });
  answer.resolve("done");
  await drained;
  const replies = await client.rest();
  assert.deepEqual(
    replies.map((reply) => reply.id),
    [id],
  );
  assert.equal((await gateway.namespace("a").log?.heads(["a"]))?.[0]?.offset, 0, "nothing was stored");
});
