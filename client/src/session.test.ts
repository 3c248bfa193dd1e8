/** The standing relation with a gateway: connecting, coming back, tokens, and the end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSES } from "@todoku/protocol";
import { ManualClock } from "../../server/src/manual-clock.ts";
import { GatewayInProcess } from "../tests/gateway-in-process.ts";
import { commandsOf } from "../tests/memory-network.ts";
import { ACCEPTED, scriptedServer } from "../tests/scripted-server.ts";
import { ERRORS, Todoku, TodokuError } from "./index.ts";

test("it connects at the first use, and says where it stands", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const states: string[] = [];
  client.on("state", (state) => states.push(state));
  assert.deepEqual([client.state, client.id], ["idle", undefined]);
  await gateway.clock.advance(1000);
  assert.equal(gateway.network.lines.length, 0);
  client.subscribe("chat:1", () => {});
  await gateway.until(() => client.state === "connected");
  assert.match(client.id ?? "", /^[0-9a-f-]{36}$/);
  client.disconnect();
  await gateway.passing(client.close());
  assert.deepEqual(states, ["connecting", "connected", "idle", "closed"]);
  assert.equal(client.id, undefined);
});

test("K3 connect and all subscribes leave in one frame, the first time and after a loss", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const channels = ["chat:1", "chat:2", "ticker:1"];
  const subscriptions = channels.map((channel) => client.subscribe(channel, () => {}));
  await gateway.passing(Promise.all(subscriptions.map(({ ready }) => ready)));
  gateway.network.cut();
  await gateway.until(() => subscriptions.every(({ state }) => state === "subscribed"));
  assert.equal(gateway.network.lines.length, 2);
  for (const { sent } of gateway.network.lines) {
    const [frame = ""] = sent;
    const [connect, ...subscribes] = commandsOf(frame);
    assert.ok(connect?.["connect"]);
    assert.deepEqual(
      subscribes.map(({ subscribe }) => subscribe?.["channel"]),
      channels,
    );
  }
});

test("K1, K2 it comes back after every close that allows it, each time after a random part of a growing delay", async () => {
  const clock = new ManualClock(0, () => 1);
  const network = scriptedServer(({ connect }, line) => {
    if (connect) line.close(3000 + network.lines.length);
    return null;
  });
  const client = new Todoku("ws://server", { WebSocket: network.WebSocket, clock });
  client.on("error", () => {});
  const dialled: number[] = [];
  client.connect().catch(() => {});
  while (dialled.length < 10 && clock.now() < 100_000) {
    await clock.advance(10);
    if (network.lines.length > dialled.length) dialled.push(clock.now());
  }
  const waits = dialled.slice(1).map((at, i) => Math.round((at - (dialled[i] ?? 0)) / 100) * 100);
  assert.deepEqual(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000]);
  await client.close();
});

test("K2 the delay is anything from nothing to its bound, and an accepted connect sets it back", async () => {
  let chance = 0.001;
  const clock = new ManualClock(0, () => chance);
  const network = scriptedServer();
  network.accept = undefined;
  const client = new Todoku("ws://server", { WebSocket: network.WebSocket, clock });
  client.on("error", () => {});
  client.connect().catch(() => {});
  await clock.advance(2);
  assert.ok(network.lines.length >= 3, `${network.lines.length} dials`);
  chance = 0.5;
  await clock.advance(20);
  const before = network.lines.length;
  await clock.advance(5000);
  assert.ok(network.lines.length - before <= 2);
  network.accept = scriptedServer().accept;
  await clock.advance(20_000);
  assert.equal(client.state, "connected");
  network.cut();
  const connections = network.lines.length;
  await clock.advance(101);
  assert.equal(network.lines.length, connections + 1);
  await client.close();
});

test("K1, K18 the close code decides whether it comes back", async () => {
  for (const { code, retry, name } of Object.values(CLOSES)) {
    if (retry === "refresh") continue;
    await using gateway = await GatewayInProcess.open();
    const client = gateway.client();
    let told: TodokuError | undefined;
    client.on("error", (error) => (told = error));
    await gateway.passing(client.connect());
    gateway.network.line.close(code, "as the test wants");
    if (retry === "stop") {
      await gateway.until(() => client.state === "closed");
      assert.deepEqual([told?.code, told?.reason, told?.message], [code, name, "as the test wants"]);
      await gateway.clock.advance(60_000);
      assert.equal(gateway.network.lines.length, 1);
    } else {
      await gateway.until(() => gateway.network.lines.length === 2 && client.state === "connected", name);
      assert.equal(told, undefined);
    }
  }
});

test("K18 after a refusal for good everything that waits fails with it, and so does what comes later", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  const client = gateway.client({ token: "not genuine" });
  const told: TodokuError[] = [];
  client.on("error", (error) => told.push(error));
  const subscription = client.subscribe("chat:1", () => {});
  subscription.on("error", () => {});
  const refused = { name: "TodokuError", code: 3500, reason: "invalid_token" };
  const waiting: Promise<unknown>[] = [
    client.connect(),
    subscription.ready,
    client.publish("chat:1", 1),
    client.history("chat:1"),
  ];
  for (const outcome of await gateway.passing(Promise.allSettled(waiting))) {
    assert.ok(outcome.status === "rejected");
    assert.equal((outcome.reason as TodokuError).code, 3500);
  }
  assert.equal(subscription.state, "closed");
  assert.equal(client.state, "closed");
  assert.equal(told.length, 1);
  await assert.rejects(client.publish("chat:1", 2), refused);
  await assert.rejects(client.connect(), refused);
  assert.throws(() => client.subscribe("chat:2", () => {}), refused);
  assert.equal(gateway.network.lines.length, 1);
});

test("K18 a refusal of the application's hook closes it with that error", async () => {
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onConnect: () => {
        throw new TodokuError(ERRORS.permissionDenied, "not on Sundays");
      },
    },
  });
  const client = gateway.client();
  client.on("error", () => {});
  await assert.rejects(gateway.passing(client.connect()), { code: 103, message: "permission denied: not on Sundays" });
});

test("K1 a connect that fails for a while is tried again, and told once", async () => {
  let refusals = 3;
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onConnect: () => {
        if (refusals-- > 0) throw new TodokuError(ERRORS.internal);
      },
    },
  });
  const client = gateway.client();
  const told: string[] = [];
  client.on("error", ({ reason }) => told.push(reason));
  await gateway.passing(client.connect());
  assert.deepEqual(told, ["internal"]);
});

test("K1 a server that is not there is told once per outage, without the URL's secrets", async (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  await using gateway = await GatewayInProcess.open();
  const { accept } = gateway.network;
  gateway.network.accept = undefined;
  const client = new Todoku("ws://user:word@gateway/connection/websocket?key=secret", {
    WebSocket: gateway.network.WebSocket,
    clock: gateway.clock,
  });
  const told: string[] = [];
  const stop = client.on("error", ({ message }) => told.push(message));
  const connecting = client.connect();
  await gateway.clock.advance(60_000);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /ws:\/\/gateway\/connection\/websocket/);
  assert.doesNotMatch(told[0] ?? "", /secret|word/);
  gateway.network.accept = accept;
  await gateway.passing(connecting);
  gateway.network.accept = undefined;
  gateway.network.cut();
  await gateway.clock.advance(60_000);
  assert.equal(told.length, 2);
  stop();
  gateway.network.accept = accept;
  await gateway.until(() => client.state === "connected");
  gateway.network.accept = undefined;
  gateway.network.cut();
  await gateway.clock.advance(60_000);
  assert.equal(warn.mock.callCount(), 1);
  await gateway.passing(client.close());
});

test("a listener may disconnect at once, whatever it hears", async () => {
  for (const moment of ["connected", "connecting", "error"] as const) {
    await using gateway = await GatewayInProcess.open();
    const client = gateway.client();
    const subscription = client.subscribe("chat:1", () => {});
    if (moment !== "connected") await gateway.passing(subscription.ready);
    const { accept } = gateway.network;
    client.on("error", () => client.disconnect());
    client.on("state", (state) => {
      if (state === moment) client.disconnect();
    });
    if (moment === "error") gateway.network.accept = undefined;
    if (moment !== "connected") gateway.network.cut();
    await gateway.until(() => client.state === "idle", moment);
    gateway.network.accept = accept;
    const dialled = gateway.network.lines.length;
    await gateway.clock.advance(60_000);
    assert.deepEqual([client.state, gateway.network.lines.length, gateway.network.open], ["idle", dialled, 0], moment);
  }
});

test("K4 pings are answered, and a server that has gone silent is left", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await gateway.passing(client.connect());
  await gateway.clock.advance(120_000);
  assert.equal(gateway.network.lines.length, 1);
  const { line } = gateway.network;
  assert.ok(line.sent.filter((frame) => frame === "{}").length >= 4);
  line.passes = () => false;
  const begun = gateway.clock.now();
  await gateway.until(() => gateway.network.lines.length === 2);
  assert.ok(gateway.clock.now() - begun <= 35_500);
  await gateway.until(() => client.state === "connected");
});

test("K1 a server that accepts the socket and never answers is left after the time limit", async () => {
  const clock = new ManualClock();
  let deaf = true;
  const network = scriptedServer(() => (deaf ? null : undefined));
  const client = new Todoku("ws://server", { WebSocket: network.WebSocket, clock, timeoutMs: 3000 });
  client.on("error", () => {});
  const connecting = client.connect();
  await clock.advance(3000);
  deaf = false;
  await clock.advance(1000);
  await connecting;
  assert.equal(network.lines.length, 2);
  await client.close();
});

test("K6 a connection token is fetched, renewed before its end, and not asked for again by a reconnect", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  let fetched = 0;
  const client = gateway.client({
    token: async () => {
      fetched++;
      return gateway.token("ann", 100);
    },
  });
  await gateway.passing(client.connect());
  assert.equal(fetched, 1);
  await gateway.clock.advance(1_000_000);
  assert.equal(gateway.network.lines.length, 1);
  assert.ok(fetched >= 10 && fetched <= 13, `${fetched} tokens`);
  const before = fetched;
  gateway.network.cut();
  await gateway.until(() => client.state === "connected");
  assert.equal(fetched, before);
});

test("K6 a token that has expired while it was away is replaced, and nobody is troubled", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  let fetched = 0;
  const client = gateway.client({
    token: () => {
      fetched++;
      return gateway.token("ann", 100);
    },
  });
  const told: TodokuError[] = [];
  client.on("error", (error) => told.push(error));
  await gateway.passing(client.connect());
  client.disconnect();
  await gateway.clock.advance(200_000);
  await gateway.passing(client.connect());
  assert.deepEqual([fetched, told], [2, []]);
});

test("K6 a token function that fails in the middle is asked again; the server's close 3005 brings it back", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  let away = false;
  const client = gateway.client({
    token: async () => {
      if (away) throw new Error("the token service is away");
      return gateway.token("ann", 100);
    },
  });
  const told: string[] = [];
  client.on("error", ({ reason }) => told.push(reason));
  await gateway.passing(client.connect());
  away = true;
  await gateway.clock.advance(140_000);
  assert.equal(client.state, "connecting");
  assert.ok(told.length > 0 && told.every((reason) => reason === "token_failed"));
  away = false;
  await gateway.until(() => client.state === "connected");
});

test("K6, K18 a fixed token that has expired closes the client, and says so", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  const client = gateway.client({ token: gateway.token("ann", 100) });
  let told: TodokuError | undefined;
  client.on("error", (error) => (told = error));
  await gateway.passing(client.connect());
  await gateway.until(() => client.state === "closed");
  assert.equal(told?.code, 109);
  const late = gateway.client({ token: gateway.token("ann", -1) });
  late.on("error", () => {});
  await assert.rejects(gateway.passing(late.connect()), { code: 109, reason: "token_expired" });
});

test("K18 a token function that says stop closes the client", async () => {
  await using gateway = await GatewayInProcess.open({ tokensOnly: true });
  const client = gateway.client({
    token: async () => {
      throw new TodokuError(ERRORS.unauthorized, "logged out");
    },
  });
  client.on("error", () => {});
  await assert.rejects(gateway.passing(client.connect()), { code: 101, message: "unauthorized: logged out" });
  assert.equal(gateway.network.lines.length, 0);
});

test("a server of the plain protocol is refused, because it could not keep what the client promises", async () => {
  const clock = new ManualClock();
  const { todoku: _extension, ...plain } = ACCEPTED;
  const network = scriptedServer(({ connect }) => (connect ? { connect: plain } : undefined));
  const client = new Todoku("ws://server", { WebSocket: network.WebSocket, clock });
  client.on("error", () => {});
  const connecting = client.connect();
  connecting.catch(() => {});
  await clock.advance(100);
  await assert.rejects(connecting, { code: 108, message: /extension/ });
});
