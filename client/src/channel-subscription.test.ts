/** One subscription against a whole gateway: asking for it, receiving, and its end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UNSUBSCRIBES } from "@todoku/protocol";
import { GatewayInProcess } from "../tests/gateway-in-process.ts";
import { Gate, numbers } from "../tests/gate.ts";
import { settle } from "../../server/src/manual-clock.ts";
import { ERRORS, TodokuError, type Gap, type Json } from "./index.ts";

test("K7 after each lost connection it goes on where it stopped, without loss and without repeat", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const handled: Json[] = [];
  const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data));
  await gateway.passing(subscription.ready);
  for (let i = 1; i <= 20; i++) {
    await gateway.publish("chat:1", i);
    if (i % 5 === 0) gateway.network.cut();
    if (i % 5 === 2) await gateway.until(() => client.state === "connected");
  }
  await gateway.until(() => handled.length >= 20);
  assert.deepEqual(handled, numbers(1, 20));
  assert.equal(subscription.position?.offset, 20);
});

test("K7 what it waits for while disconnected comes when it is connected again", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const handled: Json[] = [];
  const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data));
  await gateway.passing(subscription.ready);
  client.disconnect();
  assert.equal(client.state, "idle");
  assert.equal(subscription.state, "subscribing");
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.clock.advance(60_000);
  assert.deepEqual(handled, []);
  await gateway.passing(client.connect());
  await gateway.until(() => handled.length === 3);
  assert.deepEqual(handled, [1, 2, 3]);
});

test("K7 a position that is read while the connection is being accepted is not too late", async () => {
  const read = new Gate();
  const accepted = new Gate();
  const hooks = { onConnect: () => accepted.opened };
  await using gateway = await GatewayInProcess.open({ hooks });
  const client = gateway.client({ cursors: { get: () => read.opened.then(() => undefined), set() {}, delete() {} } });
  const early = client.subscribe("chat:1", () => {});
  await gateway.until(() => gateway.network.line.sent.some((frame) => frame.includes('"connect"')));
  read.open();
  const late = client.subscribe("chat:2", () => {});
  await settle();
  accepted.open();
  await gateway.passing(Promise.all([early.ready, late.ready]));
});

test("K7 a durable subscription goes on in another client where the first one stopped", async () => {
  await using gateway = await GatewayInProcess.open();
  const first: Json[] = [];
  const phone = gateway.client();
  const subscription = phone.subscribe("chat:1", ({ data }) => first.push(data), { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => first.length === 3);
  await gateway.passing(phone.close());
  await gateway.publish("chat:1", 4, 5);
  const second: Json[] = [];
  const again = gateway.client().subscribe("chat:1", ({ data }) => second.push(data), { durable: "phone" });
  await gateway.until(() => second.length === 2);
  assert.deepEqual(second, [4, 5]);
  assert.equal(again.position?.offset, 5);
});

test("K8 a durable subscription drops what comes again although it was handled", async () => {
  await using gateway = await GatewayInProcess.open();
  gateway.network.passes = (frame) => !frame.includes('"ack":{');
  const handled: Json[] = [];
  const client = gateway.client();
  const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data), { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => handled.length === 3);
  gateway.network.passes = () => true;
  gateway.network.cut();
  await gateway.publish("chat:1", 4);
  await gateway.until(() => handled.length === 4);
  assert.deepEqual(handled, [1, 2, 3, 4]);
  assert.ok(gateway.network.line.received.some((frame) => frame.includes('"redelivered":true')));
  // What was dropped is acknowledged all the same: the next holder begins after it.
  await gateway.passing(client.close());
  const next: Json[] = [];
  gateway.client().subscribe("chat:1", ({ data }) => next.push(data), { durable: "phone" });
  await gateway.publish("chat:1", 5);
  await gateway.until(() => next.length > 0);
  assert.deepEqual(next, [5]);
});

test("K15 a message that got lost on the way is noticed at the next one and asked for", async () => {
  await using gateway = await GatewayInProcess.open();
  const handled: Json[] = [];
  const subscription = gateway.client().subscribe("chat:1", ({ data }) => handled.push(data));
  await gateway.passing(subscription.ready);
  gateway.network.line.passes = (frame) => !frame.includes('"data":2,');
  await gateway.publish("chat:1", 1, 2);
  await gateway.clock.advance(100);
  gateway.network.line.passes = () => true;
  await gateway.publish("chat:1", 3);
  await gateway.until(() => handled.length === 3);
  assert.deepEqual(handled, [1, 2, 3]);
  assert.equal(gateway.network.lines.length, 1);
});

test("K16 a subscription that the server ends for good tells so, and is free to be made anew", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const errors: TodokuError[] = [];
  const subscription = client.subscribe("chat:1", () => {});
  subscription.on("error", (error) => errors.push(error));
  await gateway.passing(subscription.ready);
  await gateway.gateway.operations.unsubscribe({ user: "" }, "chat:1");
  await gateway.until(() => subscription.state === "closed");
  assert.equal(errors.length, 1);
  assert.equal(errors[0]?.code, 2000);
  assert.equal(errors[0]?.reason, "unsubscribed_by_server");
  await gateway.passing(client.subscribe("chat:1", () => {}).ready);
});

test("K16 after code 2500 and above it subscribes again, without loss", async () => {
  await using gateway = await GatewayInProcess.open();
  const handled: Json[] = [];
  const states: string[] = [];
  const { code, name } = UNSUBSCRIBES.insufficientState;
  const subscription = gateway.client().subscribe("chat:1", ({ data }) => handled.push(data));
  subscription.on("state", (state) => states.push(state));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.gateway.operations.unsubscribe({ user: "" }, "chat:1", { code, reason: name });
  await gateway.publish("chat:1", 2, 3);
  await gateway.until(() => handled.length === 3);
  assert.deepEqual(handled, [1, 2, 3]);
  assert.deepEqual(states, ["subscribed", "subscribing", "subscribed"]);
});

test("K16 when another client takes a durable subscription over, the older one ends with an error", async () => {
  await using gateway = await GatewayInProcess.open();
  const older = gateway.client().subscribe("chat:1", () => {}, { durable: "phone" });
  let error: TodokuError | undefined;
  older.on("error", (told) => (error = told));
  await gateway.passing(older.ready);
  const newer = gateway.client().subscribe("chat:1", () => {}, { durable: "phone" });
  await gateway.passing(newer.ready);
  await gateway.until(() => older.state === "closed");
  assert.equal(error?.reason, "taken_over");
  assert.equal(newer.state, "subscribed");
});

test("K17 a subscribe that fails for a while is tried again", async () => {
  let refusals = 3;
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onSubscribe: () => {
        if (refusals-- > 0) throw new TodokuError(ERRORS.backboneUnavailable);
      },
    },
  });
  const subscription = gateway.client().subscribe("chat:1", () => {});
  await gateway.passing(subscription.ready);
  assert.equal(refusals, -1);
  assert.equal(gateway.network.lines.length, 1);
});

test("K17 a subscribe that is refused for good ends the subscription, and only that", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const refused = client.subscribe("closed:1", () => {});
  const errors: TodokuError[] = [];
  refused.on("error", (error) => errors.push(error));
  const other = client.subscribe("chat:1", () => {});
  await assert.rejects(gateway.passing(refused.ready), { name: "TodokuError", code: 103, reason: "permission_denied" });
  await gateway.passing(other.ready);
  assert.equal(refused.state, "closed");
  assert.equal(errors.length, 1);
  assert.equal(client.state, "connected");
});

test("K17 a subscribe whose answer got lost is taken back and sent again", async () => {
  await using gateway = await GatewayInProcess.open();
  let lost = 0;
  gateway.network.passes = (frame, to) => to === "server" || !frame.includes('"subscribe":{') || lost++ > 0;
  const handled: Json[] = [];
  const client = gateway.client();
  await gateway.passing(client.connect());
  const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.until(() => handled.length === 1);
  assert.equal(gateway.network.lines.length, 1);
});

test("K14 what the log no longer keeps is a gap in its place, and then its end is the position", async () => {
  await using gateway = await GatewayInProcess.open();
  await gateway.publish("short:1", ...numbers(1, 10));
  const client = gateway.client();
  const { position } = await gateway.passing(client.history("short:1", { limit: 0 }));
  const seen: (Json | Gap)[] = [];
  const subscription = client.subscribe("short:1", ({ data }) => seen.push(data), {
    start: { ...position, offset: 2 },
  });
  subscription.on("gap", (gap) => {
    seen.push({ ...gap, epoch: "" });
    assert.deepEqual(subscription.position, { ...position, offset: 5 });
  });
  await gateway.until(() => seen.length === 6);
  assert.deepEqual(seen, [{ channel: "short:1", from: 3, to: 5, reason: "retention", epoch: "" }, ...numbers(6, 10)]);
});

test("K14 a start in an epoch that is gone is a gap too", async () => {
  await using gateway = await GatewayInProcess.open();
  await gateway.publish("chat:1", 1, 2);
  const seen: (Json | Gap)[] = [];
  const start = { epoch: "of an older life", offset: 77 };
  const subscription = gateway.client().subscribe("chat:1", ({ data }) => seen.push(data), { start });
  subscription.on("gap", (gap) => seen.push(gap));
  await gateway.until(() => seen.length === 3);
  const [gap, ...messages] = seen;
  assert.equal((gap as Gap).reason, "epoch");
  assert.equal((gap as Gap).epoch, subscription.position?.epoch);
  assert.deepEqual(messages, [1, 2]);
});

test("K14 a gap that nobody listens to warns on the console, once", async (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  await using gateway = await GatewayInProcess.open();
  const handled: Json[] = [];
  const start = { epoch: "of an older life", offset: 77 };
  const client = gateway.client();
  const subscription = client.subscribe("short:1", ({ data }) => handled.push(data), { start });
  await gateway.passing(subscription.ready);
  client.disconnect();
  await gateway.publish("short:1", ...numbers(1, 10));
  await gateway.passing(client.connect());
  await gateway.until(() => handled.length === 5);
  assert.equal(warn.mock.callCount(), 1);
  assert.match(String(warn.mock.calls[0]?.arguments[0]), /gap on short:1/);
});

test("a subscription that the server made by itself gives way to the application's own; without one it is told, once", async () => {
  await using gateway = await GatewayInProcess.open({
    hooks: { onConnect: () => ({ user: "ann", channels: ["chat:1", "chat:2"] }) },
  });
  const client = gateway.client();
  const told: string[] = [];
  client.on("error", ({ message }) => told.push(message));
  const handled: Json[] = [];
  await gateway.passing(client.subscribe("chat:1", ({ data }) => handled.push(data)).ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.publish("chat:2", 3, 4);
  await gateway.until(() => handled.length === 2 && told.length === 1);
  assert.deepEqual(handled, [1, 2]);
  assert.match(told[0] ?? "", /subscribed this client to chat:2; subscribe to it as well/);
});

test("whoever joins and leaves is told, where it was asked for", async () => {
  await using gateway = await GatewayInProcess.open();
  const watcher = gateway.client().subscribe("chat:1", () => {}, { joinLeave: true });
  const told: string[] = [];
  watcher.on("join", ({ client }) => told.push(`join ${client}`));
  watcher.on("leave", ({ client }) => told.push(`leave ${client}`));
  await gateway.passing(watcher.ready);
  const visitor = gateway.client();
  const visit = visitor.subscribe("chat:1", () => {});
  await gateway.passing(visit.ready);
  const { id } = visitor;
  await gateway.passing(visit.close());
  await gateway.until(() => told.length === 3);
  assert.deepEqual(told.slice(1), [`join ${id}`, `leave ${id}`]);
});

test("K6 a subscription token is fetched, renewed before its end, and fetched again when it has expired", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  let fetched = 0;
  const client = gateway.client({
    token: () => gateway.token("ann"),
    channelToken: (channel) => {
      fetched++;
      return gateway.token("ann", 60, channel);
    },
  });
  const states: string[] = [];
  const handled: Json[] = [];
  const subscription = client.subscribe("closed:1", ({ data }) => handled.push(data));
  subscription.on("state", (state) => states.push(state));
  await gateway.passing(subscription.ready);
  assert.equal(fetched, 1);
  await gateway.clock.advance(300_000);
  assert.ok(fetched >= 5, `${fetched} tokens`);
  assert.deepEqual(states, ["subscribed"]);
  client.disconnect();
  await gateway.clock.advance(600_000);
  const before = fetched;
  await gateway.passing(client.connect());
  await gateway.publish("closed:1", 1);
  await gateway.until(() => handled.length === 1);
  assert.equal(fetched, before + 1);
});

test("K6 a subscription token that has expired as soon as it is fetched is not fetched in a hot loop", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  let fetched = 0;
  const client = gateway.client({
    token: () => gateway.token("ann"),
    channelToken: (channel) => gateway.token("ann", fetched++ > 6 ? 60 : -1, channel),
  });
  const begun = gateway.clock.now();
  await gateway.passing(client.subscribe("closed:1", () => {}).ready);
  assert.ok(gateway.clock.now() - begun > 1000);
});

test("K6 a token function that fails is asked again, and tells so", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  let failures = 2;
  const client = gateway.client({
    token: () => gateway.token("ann"),
    channelToken: async (channel) => {
      if (failures-- > 0) throw new Error("the token service is away");
      return gateway.token("ann", 60, channel);
    },
  });
  const subscription = client.subscribe("closed:1", () => {});
  const errors: string[] = [];
  subscription.on("error", ({ reason }) => errors.push(reason));
  await gateway.passing(subscription.ready);
  assert.deepEqual(errors, ["token_failed", "token_failed"]);
});

test("one client has one subscription to a channel; closed, the next one may follow at once", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const first = client.subscribe("chat:1", () => {});
  assert.throws(() => client.subscribe("chat:1", () => {}), { code: 105, message: /share that subscription/ });
  await gateway.passing(first.ready);
  const closing = first.close();
  const handled: Json[] = [];
  const second = client.subscribe("chat:1", ({ data }) => handled.push(data));
  await gateway.passing(closing);
  await gateway.passing(second.ready);
  await gateway.publish("chat:1", 1);
  await gateway.until(() => handled.length === 1);
});

test("however many subscriptions to a channel follow one another, each waits for all before it", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const gate = new Gate();
  let begun = false;
  const first = client.subscribe("chat:1", () => {
    begun = true;
    return gate.opened;
  });
  await gateway.passing(first.ready);
  await gateway.publish("chat:1", 1);
  await gateway.until(() => begun);
  // The first is still handling its message when the second is closed before it ever began.
  const closing = first.close();
  void client.subscribe("chat:1", () => {}).close();
  await gateway.clock.advance(1000);
  const handled: Json[] = [];
  const third = client.subscribe("chat:1", ({ data }) => handled.push(data));
  await gateway.clock.advance(1000);
  gate.open();
  await gateway.passing(closing);
  await gateway.passing(third.ready);
  await gateway.publish("chat:1", 2);
  await gateway.until(() => handled.length === 1);
  assert.deepEqual(handled, [2]);
});

test("closing waits for the running handler and acknowledges its message", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const gate = new Gate();
  const begun: Json[] = [];
  const subscription = client.subscribe(
    "chat:1",
    async ({ data }) => {
      begun.push(data);
      await gate.opened;
    },
    { durable: "phone" },
  );
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.until(() => begun.length === 1);
  let closed = false;
  const closing = subscription.close().then(() => (closed = true));
  await gateway.clock.advance(1000);
  assert.equal(closed, false);
  gate.open();
  await gateway.passing(closing);
  assert.deepEqual(begun, [1]);
  const next: Json[] = [];
  client.subscribe("chat:1", ({ data }) => next.push(data), { durable: "phone" });
  await gateway.until(() => next.length === 1);
  assert.deepEqual(next, [2]);
});

test("closing inside the handler, awaited against the advice, ends after the time limit", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client({ timeoutMs: 2000 });
  let closed = false;
  const subscription = client.subscribe("chat:1", async () => {
    await subscription.close();
    closed = true;
  });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.until(() => closed);
});

test("forgetting a durable subscription removes its cursor", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const handled: Json[] = [];
  const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data), { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.until(() => handled.length === 2);
  await gateway.passing(subscription.close({ forget: true }));
  client.subscribe("chat:1", ({ data }) => handled.push(data), { durable: "phone", start: "earliest" });
  await gateway.until(() => handled.length === 4);
  assert.deepEqual(handled, [1, 2, 1, 2]);
});

test("a durable cursor cannot be forgotten without a connection, and that is an error", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const subscription = client.subscribe("chat:1", () => {}, { durable: "phone" });
  await gateway.passing(subscription.ready);
  client.disconnect();
  await assert.rejects(subscription.close({ forget: true }), { reason: "unreachable" });
});
