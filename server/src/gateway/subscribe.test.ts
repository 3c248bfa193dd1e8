import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSES, ERRORS, TodokuError } from "@todoku/protocol";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { numbers, openGateway } from "../test-gateway.ts";

test("S1 the namespace says who may subscribe", async (t) => {
  const gateway = await openGateway(t, {
    jwt: true,
    namespaces: {
      members: { subscribe: "authenticated" },
      ticket: { subscribe: "token" },
      closed: { subscribe: "none" },
    },
  });
  const ann = await gateway.connectAs("ann");
  const nobody = await gateway.connectAs("");
  const code = async (client: typeof ann, channel: string): Promise<number> =>
    (await client.call("subscribe", { channel })).error?.code ?? 0;
  assert.deepEqual([await code(ann, "live:a"), await code(nobody, "live:a")], [0, 0]);
  assert.deepEqual([await code(ann, "members:a"), await code(nobody, "members:a")], [0, 103]);
  assert.deepEqual([await code(ann, "ticket:a"), await code(ann, "closed:a")], [103, 103]);
  const token = (channel: string): Promise<string> => gateway.token({ user: "ann", channel });
  assert.equal(
    (await ann.refused("subscribe", { channel: "closed:a", token: await token("closed:a") })).code,
    103,
    "none means none",
  );
});

test("S2 a subscription token opens a channel to its user, and to nobody else", async (t) => {
  const gateway = await openGateway(t, { jwt: true, namespaces: { ticket: { subscribe: "token", presence: "any" } } });
  const ann = await gateway.connectAs("ann");
  const old = await gateway.token({ user: "ann", channel: "ticket:a", ttl: 1 });
  await gateway.clock.advance(60_000);
  for (const [token, code] of [
    [await gateway.token({ user: "bob", channel: "ticket:a" }), 103],
    [await gateway.token({ user: "ann", channel: "ticket:b" }), 103],
    [await gateway.token({ user: "ann" }), 103],
    ["nonsense", 103],
    [old, 109],
  ] as const) {
    assert.equal((await ann.refused("subscribe", { channel: "ticket:a", token })).code, code);
  }
  const token = await gateway.token({ user: "ann", channel: "ticket:a", info: { seat: 4 } });
  await ann.subscribe("ticket:a", { token });
  const { presence } = await ann.ask("presence", { channel: "ticket:a" });
  assert.deepEqual(Object.values(presence), [{ user: "ann", client: ann.connected.client, chan_info: { seat: 4 } }]);
});

test("S3, S4 a channel is subscribed once, and a connection to as many as it may", async (t) => {
  const gateway = await openGateway(t, { client: { channels: 2 } });
  const client = await gateway.connect();
  client.send({ id: 11, subscribe: { channel: "a" } }, { id: 12, subscribe: { channel: "a" } });
  assert.equal((await client.reply(11)).error, undefined);
  assert.equal((await client.reply(12)).error?.code, 105);
  client.send({ id: 13, subscribe: { channel: "b" } }, { id: 14, subscribe: { channel: "c" } });
  assert.equal((await client.reply(13)).error, undefined);
  assert.equal((await client.reply(14)).error?.code, 106);
  await client.ask("unsubscribe", { channel: "a" });
  await client.subscribe("c");
});

test("S5, S7 a subscription begins at the head, and says where that is if the channel keeps a log", async (t) => {
  const gateway = await openGateway(t);
  await gateway.publishNumbers("a", 1, 3);
  await gateway.publish("live:a", 1);
  const client = await gateway.connect();
  const { epoch, ...result } = await client.subscribe("a");
  assert.deepEqual(result, { recoverable: true, positioned: true, offset: 3 });
  assert.ok(epoch);
  assert.deepEqual(await client.subscribe("live:a"), {});
  await gateway.publish("a", 4);
  await gateway.publish("live:a", 2);
  assert.deepEqual([await client.data(1, "a"), await client.data(1, "live:a")], [[4], [2]]);
});

test("S8 a subscription starts at the head, before the oldest message that is kept, or after a position", async (t) => {
  const gateway = await openGateway(t, { namespaces: { short: { subscribe: "any", retention: { messages: 3 } } } });
  await gateway.publishNumbers("short:a", 1, 5);
  const { epoch = "" } = await gateway.publish("short:a", 6);
  for (const [start, offset, received] of [
    ["new", 6, []],
    ["earliest", 3, [4, 5, 6]],
    [{ epoch, offset: 5 }, 5, [6]],
    [{ epoch, offset: 6 }, 6, []],
  ] as const) {
    const client = await gateway.connect();
    assert.equal((await client.subscribe("short:a", { start, recover: true })).offset, offset);
    assert.deepEqual(await client.data(received.length), received);
    assert.deepEqual(await client.rest(), []);
  }
  const live = await gateway.connect();
  assert.deepEqual(await live.subscribe("live:a", { start: "earliest" }), {});
});

test("S9 recovery gives the first messages in the reply, and what does not fit as pushes", async (t) => {
  const gateway = await openGateway(t);
  const { epoch = "" } = await gateway.publish("a", 1);
  await gateway.publishNumbers("a", 2, 600);
  const client = await gateway.connect({ plain: true });
  const result = await client.subscribe("a", { recover: true, offset: 10, epoch });
  const { publications = [] } = result;
  assert.deepEqual([result.was_recovering, result.recovered], [true, true]);
  assert.deepEqual(
    publications.map(({ data }) => data),
    numbers(11, publications.length + 10),
  );
  assert.equal(result.offset, publications.at(-1)?.offset);
  assert.ok(publications.length < 590);
  assert.deepEqual(await client.data(590 - publications.length), numbers(11 + publications.length, 600));
  const nothing = await gateway.connect({ plain: true });
  assert.deepEqual(await nothing.subscribe("a", { recover: true, offset: 600, epoch }), {
    recoverable: true,
    positioned: true,
    epoch,
    offset: 600,
    was_recovering: true,
    recovered: true,
  });
});

test("S10, S23 recovery is never partial: trimmed, of another epoch or beyond the head, it begins at the head instead", async (t) => {
  const gateway = await openGateway(t, { namespaces: { short: { subscribe: "any", retention: { messages: 3 } } } });
  const { epoch = "" } = await gateway.publish("short:a", 1);
  await gateway.publishNumbers("short:a", 2, 6);
  for (const from of [{ offset: 2, epoch }, { offset: 4, epoch: "another" }, { offset: 7, epoch }, {}]) {
    const client = await gateway.connect({ plain: true });
    assert.deepEqual(await client.subscribe("short:a", { recover: true, ...from }), {
      recoverable: true,
      positioned: true,
      epoch,
      offset: 6,
      was_recovering: true,
      recovered: false,
    });
    const refused = await gateway.connect({ plain: true });
    const error = await refused.refused("subscribe", { channel: "short:a", recover: true, ...from, flag: 2 });
    assert.equal(error.code, 112);
  }
  const client = await gateway.connect({ plain: true });
  assert.equal((await client.subscribe("short:a", { recover: true, offset: 3, epoch })).publications?.length, 3);
});

test("S9, A3 what is recovered with acknowledgement is pushed, and counts as under way", async (t) => {
  const gateway = await openGateway(t);
  const { epoch = "" } = await gateway.publish("a", 1);
  await gateway.publishNumbers("a", 2, 9);
  const client = await gateway.connect();
  const result = await client.subscribe("a", { recover: true, offset: 2, epoch, ack: true, in_flight: 3 });
  assert.deepEqual([result.recovered, result.offset, result.publications], [true, 2, undefined]);
  assert.deepEqual(await client.data(3), [3, 4, 5]);
  assert.deepEqual(await client.rest(), []);
});

test("S15, S16 a subscription ends 25 s after its token, unless that is refreshed", async (t) => {
  const gateway = await openGateway(t, { jwt: true, namespaces: { ticket: { subscribe: "token" } } });
  const ann = await gateway.connectAs("ann");
  const token = (channel: string, ttl?: number, user = "ann"): Promise<string> =>
    gateway.token({ user, channel, ...(ttl !== undefined && { ttl }) });
  for (const channel of ["ticket:a", "ticket:b"]) {
    assert.deepEqual(await ann.subscribe(channel, { token: await token(channel, 60) }), { expires: true, ttl: 60 });
  }
  await gateway.clock.advance(50_000);
  const refresh = { channel: "ticket:b", token: await token("ticket:b", 600) };
  assert.deepEqual(await ann.ask("sub_refresh", refresh), { expires: true, ttl: 600 });
  await gateway.clock.advance(34_999);
  assert.deepEqual(await ann.rest(), []);
  await gateway.clock.advance(1);
  assert.deepEqual(await ann.next("unsubscribe", "ticket:a"), { code: 2501, reason: "subscription expired" });
  for (const [request, code] of [
    [{ channel: "ticket:b", token: await token("ticket:a") }, 103],
    [{ channel: "ticket:b", token: await token("ticket:b", 60, "bob") }, 103],
    [{ channel: "ticket:b", token: "nonsense" }, 103],
    [{ channel: "ticket:a", token: await token("ticket:a") }, 107],
  ] as const) {
    assert.equal((await ann.refused("sub_refresh", request)).code, code);
  }
  const old = await token("ticket:b", 1);
  await gateway.clock.advance(60_000);
  assert.equal((await ann.refused("sub_refresh", { channel: "ticket:b", token: old })).code, 109);
  assert.deepEqual(await ann.ask("sub_refresh", { channel: "ticket:b", token: await token("ticket:b") }), {});
  await gateway.clock.advance(900_000);
  assert.deepEqual(await ann.rest(), []);
});

test("S17 unsubscribing is answered {} in any case, and no push comes after the reply", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  assert.deepEqual(await client.ask("unsubscribe", { channel: "a" }), {});
  await client.subscribe("a");
  client.send({ id: 20, publish: { channel: "a", data: 1 } }, { id: 21, unsubscribe: { channel: "a" } });
  await client.reply(21);
  const before = client.inbox.filter(({ push }) => push?.pub).length;
  await gateway.publish("a", 2);
  const rest = await client.rest();
  assert.equal(rest.filter(({ push }) => push?.pub).length, before);
});

test("S20, S21, X6 the server's side may subscribe and unsubscribe a user's connections", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const [ann, also, bob] = [
    await gateway.connectAs("ann"),
    await gateway.connectAs("ann"),
    await gateway.connectAs("bob"),
  ];
  const { operations } = gateway.gateway;
  await also.subscribe("a");
  await operations.subscribe({ user: "ann" }, "a", { info: { seat: 4 }, data: { hello: 1 } });
  const pushed = await ann.next("subscribe", "a");
  assert.deepEqual([pushed.recoverable, pushed.offset, pushed.data], [true, 0, { hello: 1 }]);
  await gateway.publish("a", 1);
  assert.deepEqual([await ann.data(1), await also.data(1)], [[1], [1]]);
  await operations.unsubscribe({ user: "ann", client: ann.connected.client }, "a");
  assert.deepEqual(await ann.next("unsubscribe", "a"), { code: 2000, reason: "unsubscribed by server" });
  await operations.unsubscribe({ user: "ann" }, "", { code: 2222, reason: "bye" });
  assert.deepEqual(await also.next("unsubscribe", "a"), { code: 2222, reason: "bye" });
  assert.deepEqual(await bob.rest(), []);
});

test("a subscription made from the server's side while its connection is being made comes after the reply, once", async (t) => {
  for (let moment = 0; moment < 12; moment++) {
    const gateway = await openGateway(t, { hooks: { onConnect: () => ({ channels: ["a"] }) } });
    const client = gateway.client();
    client.send({ id: 1, connect: {} });
    for (let i = 0; i < moment; i++) await Promise.resolve();
    await gateway.gateway.operations.subscribe({ user: "" }, "a");
    await client.reply(1);
    await gateway.publish("a", 1);
    assert.deepEqual(await client.data(1), [1]);
    assert.deepEqual(await client.rest(), []);
    assert.match(client.texts[0] ?? "", /^\{"id":1,"connect"/);
    assert.equal(gateway.subscriptions, 1);
  }
});

test("S22 a subscribe that the backbone cannot serve is answered 402, leaves nothing, and may be tried again", async (t) => {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  const gateway = await openGateway(t, { clock, backbone });
  const clients = await Promise.all([gateway.connect(), gateway.connect()]);
  for (const error of await Promise.all(clients.map((client) => client.refused("subscribe", { channel: "a" })))) {
    assert.deepEqual(error, { code: 402, message: ERRORS.backboneUnavailable.message, temporary: true });
  }
  assert.equal(gateway.failures.length, 1, "one attempt for both");
  await backbone.open();
  for (const client of clients) await client.subscribe("a");
  await gateway.publish("a", 1);
  for (const client of clients) assert.deepEqual(await client.data(1), [1]);
});

test("S22 a log that cannot be read while a subscription is made is answered 402, too", async (t) => {
  const gateway = await openGateway(t);
  const first = await gateway.connect();
  // The feed is attached; only reading fails from now on.
  await first.subscribe("a");
  await gateway.backbone.close();
  const client = await gateway.connect();
  for (const request of [{ start: "earliest" }, { recover: true }, { durable: "phone" }] as const) {
    assert.equal((await client.refused("subscribe", { channel: "a", ...request })).code, 402);
  }
});

test("X3, X4 the hook may refuse a subscription, and add info, data and an expiry", async (t) => {
  const gateway = await openGateway(t, {
    hooks: {
      onSubscribe: (caller, channel, data) => {
        if (data === "no") throw new TodokuError(ERRORS.permissionDenied, "not today");
        if (data === "out") throw new TodokuError(CLOSES.permissionDenied);
        if (data === "oops") throw new Error("a secret");
        return { info: { as: channel }, data: { for: caller.address }, expireAt: gateway.clock.now() / 1000 + 60 };
      },
    },
  });
  const client = await gateway.connect();
  const refusal = await client.refused("subscribe", { channel: "a", data: "no" });
  assert.deepEqual(refusal, { code: 103, message: "permission denied: not today" });
  const internal = await client.refused("subscribe", { channel: "a", data: "oops" });
  assert.deepEqual(internal, { code: 100, message: "internal server error", temporary: true });
  const { data, ttl } = await client.subscribe("a");
  assert.deepEqual([data, ttl], [{ for: "192.0.2.1" }, 60]);
  const { presence } = await client.ask("presence", { channel: "a" });
  assert.deepEqual(Object.values(presence)[0]?.chan_info, { as: "a" });
  client.send({ id: 30, subscribe: { channel: "b", data: "out" } });
  assert.equal((await client.closed)?.code, 3507);
});
