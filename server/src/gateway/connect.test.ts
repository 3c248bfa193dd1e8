import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSES, ERRORS, TodokuError } from "@todoku/protocol";
import { signToken } from "../auth/token.ts";
import type { Bus } from "../backbones/contract.ts";
import { withFaults } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { openGateway, SECRET } from "../test-gateway.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("C6, C11, C18 an insecure server lets anyone in as the anonymous user, and says what a client may use", async (t) => {
  const gateway = await openGateway(t);
  const { connected, ...client } = await gateway.connect({ plain: true });
  assert.match(connected.client, UUID);
  assert.deepEqual(connected, {
    client: connected.client,
    version: "1.2.3",
    ping: 25,
    pong: true,
    session: connected.client,
    todoku: { version: 1, session: connected.client },
  });
  assert.equal(client.inbox.length, 0);
  assert.equal((await gateway.gateway.operations.info())[0]?.num_clients, 1);
});

test("C7, C12 a token says who the user is, what others see of them, and when the connection expires", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const ann = await gateway.connectAs("ann", { ttl: 600, info: { name: "Ann" } });
  assert.equal(ann.connected.expires, true);
  assert.equal(ann.connected.ttl, 600);
  await ann.subscribe("a");
  await ann.ask("publish", { channel: "a", data: 1 });
  const { info } = await ann.next("pub");
  assert.deepEqual(info, { user: "ann", client: ann.connected.client, conn_info: { name: "Ann" } });

  await gateway.clock.advance(624_000);
  assert.equal(ann.socket.closing, undefined);
  await gateway.clock.advance(1000);
  assert.deepEqual(await ann.closed, { code: 3005, reason: "connection expired" });
});

test("C8, E6 a token that is not genuine closes with 3500 and no hint why; so does none where one is needed", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const foreign = await signToken("another secret, as long as it needs", { user: "ann" }, gateway.clock.now());
  for (const token of [foreign, "nonsense", "", undefined]) {
    const client = gateway.client();
    client.send({ id: 1, connect: token === undefined ? {} : { token } });
    assert.deepEqual(await client.closed, { code: 3500, reason: "invalid token" });
    assert.deepEqual(client.inbox, []);
  }
});

test("C9, C10 an expired token is answered 109, and the connection closed so that the client comes with a new one", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const token = await gateway.token({ user: "ann", ttl: 10 });
  await gateway.clock.advance(60_000);
  const client = gateway.client();
  const error = await client.refused("connect", { token });
  assert.deepEqual(error, { code: 109, message: "token expired" });
  assert.equal((await client.closed)?.code, 3005);
});

test("C5, C10 what was sent along with a connect that failed is not run for somebody who was not let in", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const expired = await gateway.token({ user: "ann", ttl: 10 });
  await gateway.clock.advance(60_000);
  const published: unknown[] = [];
  const bystander = await gateway.connectAs("bob");
  await bystander.subscribe("a");
  const client = gateway.client();
  client.send(
    { id: 1, connect: { token: expired } },
    { id: 2, subscribe: { channel: "a" } },
    { id: 3, publish: { channel: "a", data: "let me in" } },
  );
  assert.equal((await client.reply(1)).error?.code, 109);
  await client.closed;
  published.push(...(await bystander.rest()), ...(await client.rest()));
  assert.deepEqual(published, []);
  assert.deepEqual(await bystander.ask("presence_stats", { channel: "a" }), { num_clients: 1, num_users: 1 });
});

test("C10 a connect that fails for the moment ends the connection so that the client comes back, and opens no session", async (t) => {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  const gateway = await openGateway(t, { jwt: true, clock, backbone });
  const client = gateway.client();
  // The backbone is not open: the server-side subscription cannot be made.
  const error = await client.refused("connect", { token: await gateway.token({ user: "ann", channels: ["a"] }) });
  assert.deepEqual(error, { code: 402, message: ERRORS.backboneUnavailable.message, temporary: true });
  assert.equal((await client.closed)?.code, 3011);
  assert.equal((await gateway.gateway.operations.info())[0]?.num_clients, 0);
});

test("C10, C15 a server-side subscription that can never be made fails the connect for good, and the others are given back", async (t) => {
  let listeners = 0;
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const { bus } = memory;
  const counted: Bus = {
    publish: (...args) => bus.publish(...args),
    subscribe: async (...args) => {
      const stop = await bus.subscribe(...args);
      listeners++;
      return () => {
        listeners--;
        return stop();
      };
    },
  };
  const backbone = { ...withFaults(memory, (_call, go) => go()), bus: counted };
  const gateway = await openGateway(t, { jwt: true, clock, backbone });
  const client = gateway.client();
  const token = await gateway.token({ user: "ann", channels: ["a", "nowhere:a"] });
  assert.equal((await client.refused("connect", { token })).code, 102);
  assert.equal((await client.closed)?.code, 3503);
  assert.equal(listeners, 1);
  await gateway.clock.advance(5000);
  assert.equal(listeners, 0);
});

test("C13, C14 a refresh moves the expiry to that of the new token", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const ann = await gateway.connectAs("ann", { ttl: 60 });
  await gateway.clock.advance(50_000);
  const refreshed = await ann.ask("refresh", { token: await gateway.token({ user: "ann", ttl: 600 }) });
  assert.deepEqual(refreshed, { client: ann.connected.client, version: "1.2.3", expires: true, ttl: 600 });
  await gateway.clock.advance(620_000);
  assert.equal(ann.socket.closing, undefined);
  const endless = await ann.ask("refresh", { token: await gateway.token({ user: "ann" }) });
  assert.deepEqual(endless, { client: ann.connected.client, version: "1.2.3" });
  await gateway.clock.advance(3_600_000);
  assert.equal(ann.socket.closing, undefined);
});

test("C14 a refresh with another user's token, or one that is not genuine, closes; an expired one is answered 109", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const old = await gateway.token({ user: "ann", ttl: 1 });
  await gateway.clock.advance(60_000);
  const ann = await gateway.connectAs("ann");
  assert.equal((await ann.refused("refresh", { token: old })).code, 109);
  for (const token of [await gateway.token({ user: "bob" }), "nonsense"]) {
    const client = await gateway.connectAs("ann");
    client.send({ id: 9, refresh: { token } });
    assert.equal((await client.closed)?.code, 3500);
  }
  assert.equal(ann.socket.closing, undefined);
});

test("C14 without tokens configured a refresh is answered 108", async (t) => {
  const gateway = await openGateway(t);
  const ann = await gateway.connect();
  assert.equal((await ann.refused("refresh", { token: "x" })).code, 108);
});

test("a refresh whose connection ends while its token is checked leaves nothing behind", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const ann = await gateway.connectAs("ann", { ttl: 60 });
  ann.send({ id: 9, refresh: { token: await gateway.token({ user: "ann", ttl: 6000 }) } });
  ann.cut();
  // Stopping the gateway at the end of the test asserts that no timer waits.
  await ann.rest();
});

test("C15, C16 the token's channels and subs are subscribed with the connection, and can be recovered", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  await gateway.publishNumbers("a", 1, 3);
  const { epoch } = await gateway.publish("b", "first");
  const { SignJWT } = await import("jose");
  const token = await new SignJWT({
    channels: ["live:x"],
    subs: { a: { info: { seat: 4 }, data: { hello: "a" } }, b: { recover: { recover: true, offset: 0, epoch } } },
  })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("ann")
    .sign(new TextEncoder().encode(SECRET));
  const ann = await gateway.connect({
    token,
    subs: { a: { recover: true, offset: 1, epoch: epoch ?? "" }, elsewhere: { recover: true } },
  });
  const { a, b, "live:x": live, ...others } = ann.connected.subs ?? {};
  assert.deepEqual(others, {});
  assert.deepEqual(live, {});
  assert.deepEqual(a?.data, { hello: "a" });
  assert.equal(a?.recovered, true);
  assert.deepEqual(
    a?.publications?.map(({ data }) => data),
    [2, 3],
  );
  assert.deepEqual(
    b?.publications?.map(({ data }) => data),
    ["first"],
  );
  await gateway.publish("a", 4);
  assert.deepEqual(await ann.data(1, "a"), [4]);
  await ann.ask("publish", { channel: "a", data: 5 });
  assert.deepEqual((await ann.next("pub", "a")).info?.chan_info, { seat: 4 });
});

test("C17 a user has at most as many connections, and a token as many channels, as configured", async (t) => {
  const gateway = await openGateway(t, { jwt: true, client: { connections_per_user: 2, channels: 2 } });
  const first = await gateway.connectAs("ann");
  await gateway.connectAs("ann");
  const third = gateway.client();
  third.send({ id: 1, connect: { token: await gateway.token({ user: "ann" }) } });
  assert.equal((await third.closed)?.code, 3504);
  first.cut();
  await gateway.connectAs("ann");
  const many = gateway.client();
  many.send({ id: 1, connect: { token: await gateway.token({ user: "bob", channels: ["a", "b", "c"] }) } });
  assert.equal((await many.closed)?.code, 3505);
});

test("X3 the hook may name the user, refuse, and add info, data, an expiry and subscriptions", async (t) => {
  const gateway = await openGateway(t, {
    jwt: true,
    hooks: {
      onConnect: async ({ token, user, data, address, origin }) => {
        assert.deepEqual([address, origin], ["192.0.2.1", "https://example.com"]);
        if (data === "refuse") throw new TodokuError(CLOSES.permissionDenied);
        if (data === "none of my business") return undefined;
        return {
          user: `${user ?? "nobody"} of ${token === undefined ? "no token" : "a token"}`,
          info: { a: 1 },
          data: { b: 2 },
          channels: ["a"],
          expireAt: gateway.clock.now() / 1000 + 60,
        };
      },
    },
  });
  const ann = await gateway.connectAs("ann");
  assert.equal(ann.connected.ttl, 60);
  assert.deepEqual(ann.connected.data, { b: 2 });
  assert.equal(ann.connected.subs?.["a"]?.recoverable, true);
  await gateway.connect();
  const { presence } = await ann.ask("presence", { channel: "a" });
  assert.deepEqual(
    Object.values(presence).map(({ user, conn_info }) => [user, conn_info]),
    [
      ["ann of a token", { a: 1 }],
      ["nobody of no token", { a: 1 }],
    ],
  );
  for (const [data, code] of [
    ["refuse", 3507],
    ["none of my business", 3500],
  ] as const) {
    const client = gateway.client();
    client.send({ id: 1, connect: { data } });
    assert.equal((await client.closed)?.code, code);
  }
});

test("X4 whatever else goes wrong in the hook is answered 100, and the client may come again", async (t) => {
  const gateway = await openGateway(t, {
    hooks: {
      onConnect: () => {
        throw new Error("the database is at lunch");
      },
    },
  });
  const client = gateway.client();
  const error = await client.refused("connect", {});
  assert.deepEqual(error, { code: 100, message: "internal server error", temporary: true });
  assert.equal((await client.closed)?.code, 3011);
  assert.equal(gateway.failures.length, 1);
});

test("C4 a connection without connect is closed with 3502; while its connect waits for the application, with 3004", async (t) => {
  const gateway = await openGateway(t, { hooks: { onConnect: () => new Promise(() => {}) } });
  const silent = gateway.client();
  const waiting = gateway.client();
  waiting.send({ id: 1, connect: {} });
  await gateway.clock.advance(9999);
  assert.equal(silent.socket.closing, undefined);
  await gateway.clock.advance(1);
  assert.deepEqual(await silent.closed, { code: 3502, reason: "no connect in time" });
  // 3502 would tell the client never to come back, for the slowness of the application.
  assert.equal((await waiting.closed)?.code, 3004);
});

test("a connection that ends at any moment while its subscriptions are made leaves none of them", async (t) => {
  const gateway = await openGateway(t, { hooks: { onConnect: () => ({ channels: ["a", "b"] }) } });
  const subscriptions = new Set<number>();
  for (let moment = 0; moment < 40; moment++) {
    const client = gateway.client();
    client.send({ id: 1, connect: {} });
    for (let i = 0; i < moment; i++) await Promise.resolve();
    subscriptions.add(gateway.subscriptions);
    client.cut();
    await client.rest();
    assert.deepEqual(await gateway.gateway.operations.channels(), {});
    assert.equal((await gateway.gateway.operations.info())[0]?.num_clients, 0);
  }
  assert.deepEqual([...subscriptions], [0, 2], "before and after they were made");
});
