/** Keys, tokens and payloads appear in no log, no answer, no close reason and no metric, whatever goes wrong around them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { Writable } from "node:stream";
import { describe, test } from "node:test";
import { API_KEY, RunningApi, SECRET, TEST_CONFIG, TestClient, withFolder } from "./api/running-api.ts";
import { signToken } from "./auth/token.ts";
import type { ConfigInput } from "./config.ts";
import type { Hooks } from "./hooks.ts";
import { createLogger } from "./logger.ts";
import { redact } from "./redact.ts";
import { WEBSOCKET_PATH } from "./server.ts";

const PAYLOAD = "the-payload-is-nobodys-business";
const WRONG_KEY = "a-wrong-key-that-may-be-right-elsewhere";

/** A server whose log is kept. */
async function withLog(
  config: ConfigInput,
  hooks: Hooks,
  use: (api: RunningApi, log: () => string) => Promise<void>,
): Promise<void> {
  let written = "";
  const destination = new Writable({
    write: (chunk: Buffer, _, done) => {
      written += chunk.toString();
      done();
    },
  });
  const logger = createLogger({ level: "debug" }, destination);
  const api = await RunningApi.start(config, { logger, hooks });
  try {
    await use(api, () => written);
  } finally {
    await api.close();
  }
}

/** The code and the reason with which a first frame is refused. */
async function refusedWith(api: RunningApi, token: string, query = ""): Promise<string> {
  const socket = new WebSocket(api.url.replace("http", "ws") + WEBSOCKET_PATH + query);
  await once(socket, "open");
  socket.send(JSON.stringify({ id: 1, connect: { token, data: { password: PAYLOAD } } }));
  const received: string[] = [];
  socket.addEventListener("message", ({ data }: MessageEvent<string>) => void received.push(data));
  const [{ code, reason }] = (await once(socket, "close")) as [CloseEvent];
  return `${code} ${reason} ${received.join()}`;
}

test("bad tokens, bad keys, failing hooks and a failing backbone: nothing of them is written anywhere", () =>
  withFolder(async (folder) => {
    const config: ConfigInput = {
      ...TEST_CONFIG,
      backbones: { local: { type: "embedded", path: folder } },
      namespaces: { chat: { backbone: "local", delivery: "exactly-once", subscribe: "any", publish: "any" } },
    };
    const hooks: Hooks = {
      onConnect: ({ user }) => {
        if (user === "unlucky") throw new Error("the database is gone");
      },
      onRpc: () => {
        throw new Error("the rpc failed");
      },
    };
    const good = await signToken(SECRET, { user: "ann" });
    const unlucky = await signToken(SECRET, { user: "unlucky" });
    const forged = await signToken(`${SECRET}x`, { user: "ann" });
    const secrets = [API_KEY, WRONG_KEY, SECRET, PAYLOAD, good, forged, unlucky, "hunter2", forged.split(".")[2] ?? ""];
    await withLog(config, hooks, async (api, log) => {
      const told: string[] = [];
      told.push(await refusedWith(api, forged, `?token=${good}`));
      const client = await TestClient.open(api.url.replace("http", "ws") + WEBSOCKET_PATH, good);
      told.push(JSON.stringify(await client.ask({ rpc: { method: "x", data: PAYLOAD } })));
      told.push(JSON.stringify(await client.ask({ subscribe: { channel: "chat:1", token: forged } })));
      told.push(JSON.stringify(await client.ask({ publish: { channel: "chat:1", data: PAYLOAD.repeat(5000) } })));
      told.push(JSON.stringify(await client.ask({ publish: { channel: "bad channel", data: PAYLOAD } })));
      const lost = new WebSocket(api.url.replace("http", "ws") + WEBSOCKET_PATH);
      await once(lost, "open");
      lost.send(`{"id":1,"connect":{"token":"${good}","data":"${PAYLOAD}"`);
      const [{ reason }] = (await once(lost, "close")) as [CloseEvent];
      told.push(reason);
      for (const body of [`{"channel":"chat:1","data":"${PAYLOAD}"`, JSON.stringify({ data: PAYLOAD, channel: 5 })]) {
        for (const key of [API_KEY, WRONG_KEY]) {
          const { text } = await api.send({ path: `/api/publish?key=${API_KEY}`, headers: { "x-api-key": key }, body });
          told.push(text);
        }
      }
      for (const backbone of api.server.todoku.backbones.values()) await backbone.close();
      told.push((await api.call("publish", { channel: "chat:1", data: PAYLOAD, idempotency_key: "hunter2" })).text);
      told.push((await api.call("history", { channel: "chat:1" })).text);
      const metrics = await api.send({ method: "GET", path: "/metrics", headers: { "x-api-key": API_KEY } });
      told.push(metrics.text);
      client.close();

      assert.match(log(), /a publish failed/, "the log was kept");
      assert.match(log(), /the rpc failed/);
      for (const secret of secrets) {
        assert.ok(!log().includes(secret), `${secret} is in the log`);
        assert.ok(!told.join("\n").includes(secret), `${secret} was told`);
      }
    });
  }));

test("who may not know does not learn what exists: a wrong token says the same as none", async (context) => {
  const api = await RunningApi.start();
  context.after(() => api.close());
  const answers = await Promise.all(
    ["", "x", await signToken(`${SECRET}x`, { user: "a" })].map((token) => refusedWith(api, token)),
  );
  assert.deepEqual(new Set(answers), new Set(["3500 invalid token "]));
});

test("an upgrade with headers beyond all measure gets 431, and is over", async (context) => {
  const api = await RunningApi.start();
  context.after(() => api.close());
  const upgrade = request(api.url + WEBSOCKET_PATH, {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "x-much": "x".repeat(20_000),
    },
  });
  upgrade.end();
  const [response] = (await once(upgrade, "response")) as [{ statusCode: number }];
  assert.equal(response.statusCode, 431);
});

describe("what is logged of URLs", () => {
  for (const [text, redacted] of [
    ["redis://user:hunter2@host:6379/0", "redis://***@host:6379/0"],
    ["cannot reach rediss://:p%40ss@a and amqp://u:p@b:5672", "cannot reach rediss://***@a and amqp://***@b:5672"],
    ["https://keys.example/jwks?token=hunter2#x", "https://keys.example/jwks?***"],
    ["ws://host/connection/websocket?token=abc done", "ws://host/connection/websocket?*** done"],
    ["http://host/path", "http://host/path"],
    ["no URL here: a@b.c?d=e", "no URL here: a@b.c?d=e"],
  ] as const) {
    test(redacted, () => assert.equal(redact(text), redacted));
  }

  test("also in the causes of an error, to any depth", async () => {
    let written = "";
    const destination = new Writable({
      write: (chunk: Buffer, _, done) => {
        written += chunk.toString();
        done();
      },
    });
    const logger = createLogger({ level: "info" }, destination);
    const cause = new Error("redis://u:hunter2@h", {
      cause: new Error("http://h/?token=hunter2", { cause: "ws://u:hunter2@h" }),
    });
    logger.error({ error: new Error("failed", { cause }) }, "it failed");
    assert.match(written, /redis:\/\/\*\*\*@h/);
    assert.doesNotMatch(written, /hunter2/);
  });

  test("an error that is its own cause ends", () => {
    const error = new Error("round and round");
    error.cause = error;
    const logger = createLogger({ level: "info" }, new Writable({ write: (_, __, done) => done() }));
    logger.error({ error }, "it failed");
  });
});
