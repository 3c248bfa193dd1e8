import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "@todoku/protocol";
import { settle } from "../manual-clock.ts";
import { openGateway } from "../test-gateway.ts";

test("C3 any command before connect closes with 3501 and is not run, and so does a second connect", async (t) => {
  const gateway = await openGateway(t);
  const watcher = await gateway.connect();
  await watcher.subscribe("a");
  const early = gateway.client();
  early.send({ id: 1, publish: { channel: "a", data: 1 } }, { id: 2, connect: {} });
  assert.deepEqual(await early.closed, {
    code: 3501,
    reason: "bad request: connect must come first, not publish",
  });
  for (const together of [true, false]) {
    const twice = gateway.client();
    if (together) twice.send({ id: 1, connect: {} }, { id: 2, connect: {} });
    else {
      await twice.ask("connect", {});
      twice.send({ id: 2, connect: {} });
    }
    assert.deepEqual(await twice.closed, { code: 3501, reason: "bad request: connect may come once only" });
  }
  assert.deepEqual(await watcher.rest(), []);
});

test("C5, P1, S19 what is sent along with connect runs after it, and on each channel in the order sent", async (t) => {
  const gateway = await openGateway(t, {
    namespaces: { room: { subscribe: "any", publish: "subscribers", retention: {} } },
  });
  const client = gateway.client();
  client.send(
    { id: 1, connect: {} },
    { id: 2, subscribe: { channel: "room:1" } },
    { id: 3, publish: { channel: "room:1", data: "hi" } },
    { id: 4, unsubscribe: { channel: "room:1" } },
    { id: 5, publish: { channel: "room:1", data: "gone" } },
    { id: 6, subscribe: { channel: "room:1" } },
    { id: 7, publish: { channel: "room:1", data: "back" } },
  );
  const replies = [];
  for (let id = 1; id <= 7; id++) replies.push(await client.reply(id));
  assert.deepEqual(
    replies.map(({ error }) => error?.code),
    [undefined, undefined, undefined, undefined, 103, undefined, undefined],
  );
  assert.match(client.texts.join("\n"), /^\{"id":1,"connect"/);
  assert.deepEqual(await client.data(2), ["hi", "back"]);
});

test("F3, S19 channels do not wait for each other", async (t) => {
  const waiting = Promise.withResolvers<void>();
  const gateway = await openGateway(t, {
    hooks: { onSubscribe: (_caller, channel) => (channel === "slow" ? waiting.promise : undefined) },
  });
  const client = await gateway.connect();
  client.send(
    { id: 11, subscribe: { channel: "slow" } },
    { id: 12, history: { channel: "slow" } },
    { id: 13, subscribe: { channel: "quick" } },
    { id: 14, history: { channel: "quick" } },
  );
  await client.reply(14);
  await client.reply(13);
  assert.deepEqual(await client.rest(), []);
  waiting.resolve();
  await client.reply(12);
  assert.equal((await client.reply(11)).error, undefined);
});

test("E5, E4 a command that fails disturbs no other, and says whether to try again", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  client.send(
    { id: 11, subscribe: { channel: "not a channel" } },
    { id: 12, publish: { channel: "nowhere:1", data: 1 } },
    { id: 13, subscribe: { channel: "a" } },
    { id: 14, rpc: {} },
  );
  assert.equal((await client.reply(11)).error?.code, 107);
  assert.deepEqual((await client.reply(12)).error, { code: 102, message: "unknown channel" });
  assert.ok((await client.reply(13)).subscribe);
  assert.deepEqual((await client.reply(14)).error, { code: 104, message: "method not found" });
  await gateway.backbone.close();
  assert.deepEqual(await client.refused("publish", { channel: "a", data: 1 }), {
    code: 402,
    message: "backbone unavailable, nothing was stored",
    temporary: true,
  });
});

test("F4 send, ack and nack without an id are not answered, not even with an error", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  const receipt = { channel: "a", offset: 1, epoch: "x" };
  client.send({ send: { data: 1 } }, { ack: receipt }, { nack: receipt }, { ack: { ...receipt, offset: -1 } });
  assert.deepEqual(await client.rest(), []);
  assert.equal((await client.refused("ack", receipt)).code, 107);
});

test("E7 commands beyond a rate of the connection or of its user are answered 111 and not run", async (t) => {
  const rate = { commands: "10/s", publish: "3/s", subscribe: "2/s", user: "15/s" };
  const gateway = await openGateway(t, { jwt: true, client: { rate } });
  const codes = async (client: { call: typeof ann.call }, count: number, run: () => ReturnType<typeof ann.call>) => {
    const replies = await Promise.all(Array.from({ length: count }, () => run()));
    return replies.map(({ error }) => error?.code ?? 0);
  };
  const ann = await gateway.connectAs("ann");
  await gateway.clock.advance(1000);
  const publish = (): ReturnType<typeof ann.call> => ann.call("publish", { channel: "a", data: 1 });
  assert.deepEqual(await codes(ann, 4, publish), [0, 0, 0, 111]);
  const subscribe = (): ReturnType<typeof ann.call> => ann.call("subscribe", { channel: `a${ann.newId}` });
  assert.deepEqual(await codes(ann, 3, subscribe), [0, 0, 111]);
  assert.deepEqual(await codes(ann, 4, () => ann.call("history", { channel: "a" })), [0, 0, 0, 111]);
  // Of the user's 15, the first connection's accepted commands have taken 8.
  const other = await gateway.connectAs("ann");
  const asks = await codes(other, 8, () => other.call("history", { channel: "a" }));
  assert.deepEqual(asks, [0, 0, 0, 0, 0, 0, 0, 111]);
  await gateway.clock.advance(1000);
  assert.equal((await ann.ask("history", { channel: "a" })).offset, 3);
});

test("E7 acknowledgements count in no rate: one that was turned away unheard would stop delivery for good", async (t) => {
  const gateway = await openGateway(t, { client: { rate: { commands: "2/s" } } });
  const client = await gateway.connect();
  const { epoch = "" } = await client.subscribe("a", { start: "earliest", ack: true, in_flight: 1 });
  for (let offset = 1; offset <= 20; offset++) {
    await gateway.publish("a", offset);
    assert.equal((await client.next("pub")).offset, offset);
    client.send({ ack: { channel: "a", offset, epoch } });
  }
});

test("E7 more than 1000 commands under way at once are answered 111", async (t) => {
  const answers = Promise.withResolvers<number>();
  const gateway = await openGateway(t, { hooks: { onRpc: () => answers.promise } });
  const client = await gateway.connect();
  const rpcs = Array.from({ length: 1002 }, (_, i): Command => ({ id: i + 10, rpc: {} }));
  client.send(...rpcs.slice(0, 500));
  client.send(...rpcs.slice(500));
  const refused = await client.rest();
  assert.deepEqual(
    refused.map(({ id, error }) => [id, error?.code]),
    [
      [1010, 111],
      [1011, 111],
    ],
  );
  answers.resolve(7);
  assert.equal((await client.reply(1009)).rpc?.data, 7);
  assert.equal((await client.ask("rpc", {})).data, 7);
});

test("commands that wait for connect are counted and bounded in size, before anybody is known", async (t) => {
  const decided = Promise.withResolvers<void>();
  const gateway = await openGateway(t, {
    client: { queue_bytes: "1KiB", rate: { commands: "5/s" } },
    hooks: { onConnect: () => decided.promise },
  });
  const many = gateway.client();
  many.send({ id: 1, connect: {} });
  for (let id = 2; id <= 8; id++) many.send({ id, history: { channel: "a" } });
  const large = gateway.client();
  large.send({ id: 1, connect: {} });
  for (let id = 2; id <= 4; id++) large.send({ id, rpc: { data: "x".repeat(2100) } });
  const codes = (replies: readonly { id?: number; error?: { code: number } }[]): unknown[] =>
    replies.map(({ id, error }) => [id, error?.code]);
  assert.deepEqual(codes(await many.rest()), [
    [6, 111],
    [7, 111],
    [8, 111],
  ]);
  assert.deepEqual(codes(await large.rest()), [
    [3, 111],
    [4, 111],
  ]);
  decided.resolve();
  assert.ok((await many.reply(1)).connect);
  assert.ok((await many.reply(5)).history);
});

test("E8 a client that asks and does not read is closed with 3008 at four times the bound", async (t) => {
  const gateway = await openGateway(t, { client: { queue_bytes: "10KiB" }, hooks: { onRpc: () => "x".repeat(1000) } });
  const client = await gateway.connect();
  client.socket.hold();
  for (let i = 0; i < 100 && !client.socket.closing; i++) {
    client.send({ id: i + 10, rpc: {} });
    await settle(1);
  }
  assert.equal((await client.closed)?.code, 3008);
  assert.ok(client.socket.mostBuffered > 40 * 1024 && client.socket.mostBuffered < 43 * 1024);
});

test("a subscription whose reply closes an overrun connection is given back", async (t) => {
  const gateway = await openGateway(t, { client: { queue_bytes: "1KiB" } });
  await gateway.publish("a", "x".repeat(5000));
  const client = await gateway.connect();
  client.socket.hold();
  client.send({ id: 9, subscribe: { channel: "a", recover: true, epoch: await epochOf(gateway) } });
  assert.equal((await client.closed)?.code, 3008);
  assert.deepEqual(await gateway.gateway.operations.channels(), {});
});

async function epochOf(gateway: Awaited<ReturnType<typeof openGateway>>): Promise<string> {
  const client = await gateway.connect();
  const { epoch } = await client.ask("history", { channel: "a" });
  return epoch;
}

test("everything of one turn of the event loop leaves in one frame", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  await client.subscribe("a");
  await client.subscribe("b");
  const before = client.socket.frames;
  client.send(
    { id: 21, publish: { channel: "a", data: 1 } },
    { id: 22, publish: { channel: "b", data: 2 } },
    { id: 23, presence_stats: { channel: "a" } },
  );
  assert.deepEqual(await client.data(2), [1, 2]);
  await client.reply(23);
  await settle();
  assert.equal(client.socket.frames - before, 1);
});

test("D1, D2, D3 pings come every interval, an unanswered one closes with 3012, and a pong is no fault at any time", async (t) => {
  const gateway = await openGateway(t);
  const early = gateway.client();
  early.sendText("{}");
  const quick = await gateway.connect();
  const dead = await gateway.connect();
  dead.answersPings = false;
  quick.sendText("{}\n{}");
  await gateway.clock.advance(24_000);
  assert.equal(early.socket.closing?.code, 3502, "for the missing connect, not for the pong");
  assert.deepEqual([quick.pings, dead.pings], [0, 0]);
  await gateway.clock.advance(1000);
  assert.deepEqual([quick.pings, dead.pings], [1, 1]);
  await gateway.clock.advance(7000);
  assert.equal(dead.socket.closing, undefined);
  await gateway.clock.advance(1000);
  assert.deepEqual(await dead.closed, { code: 3012, reason: "no pong" });
  await gateway.clock.advance(50_000);
  assert.deepEqual([quick.pings, quick.socket.closing], [3, undefined]);
  assert.deepEqual(await quick.rest(), [], "pongs are not answered");
});
