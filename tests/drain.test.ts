/** SIGTERM sends the clients elsewhere and loses nothing; and a server that cannot start says why. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Todoku } from "@todoku/client";
import { Centrifuge, type SubscribedContext } from "centrifuge";
import type { ConfigInput } from "../server/src/config.ts";
import { RawClient } from "./raw-client.ts";
import { ServerProcess } from "./server-process.ts";

const open = { subscribe: "any", publish: "any", history: "any" } as const;

const CONFIG: ConfigInput = {
  auth: { insecure: true },
  client: { history_limit: 100_000, rate: { publish: "off", commands: "off" } },
  drain: "0s",
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: { chat: { ...open, backbone: "local", delivery: "at-least-once" } },
};

async function connected(t: TestContext, server: ServerProcess): Promise<RawClient> {
  const client = await RawClient.connect(server.port);
  t.after(() => client.terminate());
  return client;
}

function sdk(t: TestContext, { url }: ServerProcess): Todoku<Record<string, number>> {
  const client = new Todoku<Record<string, number>>(url, { backoff: { firstMs: 20, lastMs: 200 } });
  client.on("error", () => {});
  t.after(() => client.close());
  return client;
}

/** The data of all messages that the log keeps. */
async function stored(server: ServerProcess, channel: string): Promise<unknown[]> {
  const { publications } = await server.api<{ publications: { data: unknown }[] }>("history", { channel, limit: -1 });
  return publications.map(({ data }) => data);
}

describe("SIGTERM", { timeout: 180_000 }, () => {
  test("answers the publishes under way: what is stored and what was acknowledged are the same", async (t) => {
    await using server = await ServerProcess.start(CONFIG);
    const publishers = await Promise.all(Array.from({ length: 10 }, () => connected(t, server)));
    const acknowledged: string[] = [];
    // Each keeps twenty publishes under way until its connection ends.
    const publishing = publishers.map(async (client, p) => {
      let sent = 0;
      const publish = (): void => {
        sent++;
        client.send({ id: sent + 1, publish: { channel: "chat:1", data: `${p}/${sent + 1}` } });
      };
      client.onText = (payload) => {
        for (const line of payload.toString().split("\n")) {
          const { id, publish: result } = JSON.parse(line) as { id?: number; publish?: object };
          if (result === undefined) continue;
          acknowledged.push(`${p}/${id}`);
          publish();
        }
        if (acknowledged.length >= 300) under.resolve();
      };
      for (let i = 0; i < 20; i++) publish();
      return client.closed;
    });
    const under = Promise.withResolvers<void>();
    await under.promise;

    const exit = await server.stop();
    assert.deepEqual(exit, { code: 0, signal: null });
    for (const { code } of await Promise.all(publishing)) assert.equal(code, 3001);
    await server.restart();
    assert.deepEqual(new Set(await stored(server, "chat:1")), new Set(acknowledged));
  });

  test("answers the calls of the HTTP API under way: what is stored and what was acknowledged are the same", async () => {
    await using server = await ServerProcess.start(CONFIG);
    const acknowledged: string[] = [];
    const under = Promise.withResolvers<void>();
    const callers = Array.from({ length: 20 }, async (_, p) => {
      for (let n = 0; ; n++) {
        try {
          await server.api("publish", { channel: "chat:1", data: `${p}/${n}` });
        } catch {
          return;
        }
        acknowledged.push(`${p}/${n}`);
        if (acknowledged.length >= 300) under.resolve();
      }
    });
    await under.promise;
    const exit = await server.stop();
    assert.equal(exit.code, 0);
    await Promise.all(callers);
    await server.restart();
    assert.deepEqual(new Set(await stored(server, "chat:1")), new Set(acknowledged));
  });

  test("tells clients to reconnect elsewhere, evenly over the time that is configured", async (t) => {
    await using server = await ServerProcess.start({ ...CONFIG, drain: "2s" });
    const clients = await Promise.all(Array.from({ length: 20 }, () => connected(t, server)));
    const order: number[] = [];
    const closed = clients.map(async (client, i) => {
      const { code, reason } = await client.closed;
      order.push(i);
      return { code, reason };
    });
    const stopped = server.stop();
    await closed[0];
    // The first has gone and the last has not: they are not sent away all at once.
    assert.ok(order.length < clients.length);
    await assert.rejects(RawClient.open(server.port), "no new connection while it drains");
    for (const { code, reason } of await Promise.all(closed)) {
      assert.equal(code, 3001);
      assert.equal(reason, "shutdown, reconnect elsewhere");
    }
    assert.deepEqual(await stopped, { code: 0, signal: null });
  });

  test("clients go on publishing and receiving across a rolling restart, with nothing lost and nothing twice", async (t) => {
    await using server = await ServerProcess.start(CONFIG);
    const [publisher, reader] = [sdk(t, server), sdk(t, server)];
    const received: number[] = [];
    const all = Promise.withResolvers<void>();
    const subscription = reader.subscribe("chat:1", ({ data }) => {
      received.push(data);
      if (received.length === 300) all.resolve();
    });
    await subscription.ready;
    const half = Promise.withResolvers<void>();
    const publishing = (async () => {
      for (let n = 1; n <= 300; n++) {
        await publisher.publish("chat:1", n);
        if (n === 150) half.resolve();
      }
    })();
    await half.promise;
    assert.equal((await server.stop()).code, 0);
    await server.restart();
    await publishing;
    await all.promise;
    const expected = Array.from({ length: 300 }, (_, i) => i + 1);
    assert.deepEqual(received, expected);
    assert.deepEqual(await stored(server, "chat:1"), expected);
  });

  test("clients of the base protocol come back as well, and miss nothing", async (t) => {
    await using server = await ServerProcess.start(CONFIG);
    const centrifuge = new Centrifuge(server.webSocketUrl, { minReconnectDelay: 20, maxReconnectDelay: 200 });
    t.after(() => centrifuge.disconnect());
    centrifuge.connect();
    const subscription = centrifuge.newSubscription("chat:1", { recoverable: true });
    const received: unknown[] = [];
    const all = Promise.withResolvers<void>();
    subscription.on("publication", ({ data }) => {
      received.push(data);
      if (received.length === 2) all.resolve();
    });
    const subscribed = new Promise((resolve) => subscription.once("subscribed", resolve));
    subscription.subscribe();
    await subscribed;
    await subscription.publish(1);

    const sentAway = new Promise<{ code: number }>((resolve) => centrifuge.once("connecting", resolve));
    const back = new Promise<SubscribedContext>((resolve) => subscription.once("subscribed", resolve));
    await server.stop();
    assert.equal((await sentAway).code, 3001);
    await server.restart();
    await server.api("publish", { channel: "chat:1", data: 2 });
    assert.equal((await back).recovered, true);
    await all.promise;
    assert.deepEqual(received, [1, 2]);
  });

  test("a second one, not of the same press of Ctrl-C, ends it at once", async (t) => {
    await using server = await ServerProcess.start({ ...CONFIG, drain: "20s" });
    const [, second] = [await connected(t, server), await connected(t, server)];
    for (let i = 2; i < 20; i++) await connected(t, server);
    const stopped = server.stop();
    // One is sent away each second.
    await second.closed;
    assert.equal((await server.stop()).code, 143);
    await stopped;
  });
});

describe("a server that cannot start says why, and ends with code 1", { timeout: 180_000 }, () => {
  test("the port is in use", async (t) => {
    await using server = await ServerProcess.prepare(CONFIG);
    const other = createServer().listen(server.port, "127.0.0.1");
    t.after(() => other.close());
    await once(other, "listening");
    const { code, stderr } = await server.refusedStart();
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `todoku: [http] port ${server.port} on 127.0.0.1 is in use by another process. ` +
        "Stop that process, or set http.port (0 takes a free one)\n",
    );
  });

  test("the data folder is in use, and the server that has it is not disturbed", async () => {
    await using server = await ServerProcess.start(CONFIG);
    const data = path.join(server.folder, "data");
    await using second = await ServerProcess.prepare({
      ...CONFIG,
      backbones: { local: { type: "embedded", path: data } },
    });
    const { code, stderr } = await second.refusedStart();
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `todoku: [local] the data folder ${data} is in use by another process. ` +
        "Stop that one, or set backbones.local.path to another folder\n",
    );
    await server.api("publish", { channel: "chat:1", data: 1 });
    assert.deepEqual(await stored(server, "chat:1"), [1]);
  });

  test("the data folder is free again the moment that its owner was killed", async () => {
    await using server = await ServerProcess.start(CONFIG);
    await server.api("publish", { channel: "chat:1", data: 1 });
    await server.kill();
    await server.restart();
    assert.deepEqual(await stored(server, "chat:1"), [1]);
  });
});
