/** The client as a whole. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { parseConfig } from "../../server/src/config-file.ts";
import { startServer } from "../../server/src/server.ts";
import { Gate } from "../tests/gate.ts";
import { GatewayInProcess } from "../tests/gateway-in-process.ts";
import { scriptedServer } from "../tests/scripted-server.ts";
import { ManualClock } from "../../server/src/manual-clock.ts";
import { Todoku, type Json } from "./index.ts";

test("history, presence and its count are asked for by one call each", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await gateway.passing(client.subscribe("chat:1", () => {}).ready);
  await gateway.publish("chat:1", 1, 2, 3);
  const all = await gateway.passing(client.history("chat:1"));
  assert.deepEqual(
    all.messages.map(({ channel, data, offset, epoch, redelivered }) => ({
      channel,
      data,
      offset,
      epoch,
      redelivered,
    })),
    [1, 2, 3].map((data) => ({
      channel: "chat:1",
      data,
      offset: data,
      epoch: all.position.epoch,
      redelivered: false,
    })),
  );
  const since = { epoch: all.position.epoch, offset: 1 };
  const some = await gateway.passing(client.history("chat:1", { since, limit: 1 }));
  assert.deepEqual(
    some.messages.map(({ data }) => data),
    [2],
  );
  const newest = await gateway.passing(client.history("chat:1", { limit: 2, reverse: true }));
  assert.deepEqual(
    newest.messages.map(({ data }) => data),
    [3, 2],
  );
  assert.deepEqual((await gateway.passing(client.history("chat:1", { limit: 0 }))).messages, []);
  await assert.rejects(gateway.passing(client.history("ticker:1")), { code: 108 });
  const present = await gateway.passing(client.presence("chat:1"));
  assert.deepEqual(Object.keys(present), [client.id]);
  assert.deepEqual(await gateway.passing(client.presenceStats("chat:1")), { clients: 1, users: 1 });
});

test("rpc and send reach the application's hooks, and the server's own word comes as an event", async () => {
  const sent: Json[] = [];
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onRpc: (_caller, method, data) => ({ method, data: data ?? null }),
      onSend: (_caller, data) => void sent.push(data),
    },
  });
  const client = gateway.client();
  assert.deepEqual(await gateway.passing(client.rpc("add", [1, 2])), { method: "add", data: [1, 2] });
  await gateway.passing(client.send({ seen: true }));
  await gateway.until(() => sent.length === 1);
  assert.deepEqual(sent, [{ seen: true }]);
  const heard: Json[] = [];
  client.on("message", (data) => heard.push(data));
  gateway.network.line.send('{"push":{"message":{"data":"hello"}}}');
  await gateway.until(() => heard.length === 1);
  assert.deepEqual(heard, ["hello"]);
});

test("K13 what is asked while not connected waits for the connection, and fails after the time limit", async () => {
  await using gateway = await GatewayInProcess.open();
  const { accept } = gateway.network;
  gateway.network.accept = undefined;
  const client = gateway.client({ timeoutMs: 5000, backoff: { firstMs: 200, lastMs: 500 } });
  client.on("error", () => {});
  await assert.rejects(gateway.passing(client.presenceStats("chat:1")), { reason: "unreachable" });
  const asking = client.presenceStats("chat:1");
  await gateway.clock.advance(1000);
  gateway.network.accept = accept;
  assert.deepEqual(await gateway.passing(asking), { clients: 0, users: 0 });
});

test("K23 close acknowledges, unsubscribes and closes with 1000", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const handled: Json[] = [];
  const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data), { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => handled.length === 3);
  await gateway.passing(client.close());
  const { sent, closedBy } = gateway.network.line;
  assert.match(sent.join("\n"), /"ack":\{"channel":"chat:1","epoch":"[^"]+","offset":3\}[^]*"unsubscribe"/);
  assert.deepEqual(closedBy, { code: 1000 });
  assert.equal(client.state, "closed");
  await gateway.passing(client.close());
});

test("K23 close waits for publishes under way, and rejects what comes after it", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await gateway.passing(client.connect());
  const publishing = client.publish("chat:1", "last words");
  const closing = client.close();
  await assert.rejects(client.publish("chat:1", "too late"), { reason: "client_closed" });
  assert.throws(() => client.subscribe("chat:1", () => {}), { reason: "client_closed" });
  assert.equal((await gateway.passing(publishing)).offset, 1);
  await gateway.passing(closing);
});

test("K23 close leaves no timer, and is quick where there is no connection", async () => {
  for (const state of ["idle", "connected", "disconnected", "connecting", "unanswered"] as const) {
    const clock = new ManualClock();
    const network = scriptedServer(({ connect, publish }) => ((connect ?? publish) ? undefined : { unsubscribe: {} }));
    const client = new Todoku("ws://server", { WebSocket: network.WebSocket, clock });
    client.on("error", () => {});
    if (state === "connecting") network.accept = undefined;
    if (state === "unanswered") network.unanswered = true;
    const subscription = state === "idle" ? undefined : client.subscribe("chat:1", () => {}, { durable: "phone" });
    if (state !== "idle" && state !== "connected") client.publish("chat:1", 1).catch(() => {});
    await clock.advance(300);
    if (state === "disconnected") client.disconnect();
    const begun = clock.now();
    const closing = client.close();
    await clock.advance(1000);
    await closing;
    assert.ok(clock.now() - begun <= 1000, state);
    assert.equal(clock.waiting, 0, state);
    assert.equal(subscription?.state ?? "closed", "closed");
  }
});

test("K23 close does not wait for a handler longer than the time limit", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client({ timeoutMs: 2000 });
  const gate = new Gate();
  let begun = false;
  const subscription = client.subscribe("chat:1", () => {
    begun = true;
    return gate.opened;
  });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.until(() => begun);
  const at = gateway.clock.now();
  await gateway.passing(client.close());
  assert.ok(gateway.clock.now() - at <= 2100);
  gate.open();
});

test("a URL that is none, and a runtime without WebSocket, are refused at once", (context) => {
  assert.throws(() => new Todoku("localhost"), { code: 107 });
  context.mock.property(globalThis, "WebSocket", undefined);
  assert.throws(() => new Todoku("ws://localhost"), { code: 108, message: /Node 22/ });
});

test("K23 over real sockets a process that has closed its client ends by itself", async () => {
  const namespaces = { chat: { backbone: "memory", subscribe: "any", publish: "any" } } as const;
  const server = await startServer(
    parseConfig({
      http: { port: 0 },
      auth: { insecure: true },
      log: { level: "silent" },
      backbones: { memory: { type: "memory" } },
      namespaces,
    }),
  );
  try {
    const program = `
      import { Todoku } from ${JSON.stringify(new URL("index.ts", import.meta.url).href)};
      const client = new Todoku(${JSON.stringify(server.url)});
      const subscription = client.subscribe("chat:1");
      await subscription.ready;
      await client.publish("chat:1", { text: "hi" });
      for await (const { data } of subscription) { console.log(data.text); break; }
      await client.close();
      console.log("closed");
    `;
    const child = spawn(process.execPath, ["--conditions=source", "--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 20_000,
    });
    const output = child.stdout.setEncoding("utf8").toArray();
    const [code] = (await once(child, "close")) as [number | null];
    assert.equal((await output).join(""), "hi\nclosed\n");
    assert.equal(code, 0);
  } finally {
    await server.close();
  }
});
