/**
 * What happens before a gateway sees a connection, and around it: real sockets on the server of the runtime that runs this,
 * Node's or Bun's.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { WebSocket, type ClientOptions } from "ws";
import type { ConfigInput } from "../../config.ts";
import { parseConfig } from "../../config-file.ts";
import type { Hooks } from "../../hooks.ts";
import { startServer } from "../../server.ts";

const PATH = "/connection/websocket";

test("C1 the WebSocket is at its path, with or without a query, and at no other", async (t) => {
  const { dial, refusal } = await listen(t);
  for (const path of [PATH, `${PATH}?v=2`]) {
    const client = await dial(path);
    client.send('{"id":1,"connect":{}}');
    assert.equal((JSON.parse(await nextMessage(client)) as { id: number }).id, 1);
    client.close();
  }
  assert.deepEqual(await refusal("/other"), { status: 404, error: { code: 104, message: "no WebSocket here" } });
});

test("C1 a binary frame closes with 3501", async (t) => {
  const { dial } = await listen(t);
  const client = await dial();
  client.send(Buffer.from('{"id":1,"connect":{}}'), { binary: true });
  assert.deepEqual(await closing(client), {
    code: 3501,
    reason: "bad request: binary frames are not spoken here",
  });
});

test("F11 a frame of the greatest size is taken, a larger one closes with 1009", async (t) => {
  const { dial } = await listen(t, { client: { frame_bytes: "1KiB" } });
  const client = await dial();
  const frame = '{"id":1,"connect":{"data":""}}';
  client.send(frame.replace('""', `"${"x".repeat(1024 - frame.length)}"`));
  await nextMessage(client);
  client.send(" ".repeat(1025));
  assert.equal((await closing(client)).code, 1009);
});

test("F11 the size counts in bytes, and over all fragments of a frame", async (t) => {
  const { dial } = await listen(t, { client: { frame_bytes: "1KiB" } });
  const wide = await dial();
  wide.send(`{"id":1,"connect":{"data":"${"€".repeat(400)}"}}`);
  assert.equal((await closing(wide)).code, 1009);
  const slow = await dial();
  slow.send("x".repeat(600), { fin: false });
  slow.send("x".repeat(600), { fin: true });
  assert.equal((await closing(slow)).code, 1009);
});

test("F11 a compressed frame counts as large as it unfolds: a small one of a hundred mebibytes closes with 1009", async (t) => {
  const { dial } = await listen(t, { client: { frame_bytes: "64KiB", compression: true, connect_timeout: "10m" } });
  const client = await dial();
  assert.match(client.extensions, /permessage-deflate/);
  client.send(" ".repeat(100 * 1024 * 1024));
  assert.equal((await closing(client)).code, 1009);
});

test("compression is not offered unless it is configured, whatever the client asks for", async (t) => {
  const { dial } = await listen(t);
  assert.equal((await dial(PATH, { perMessageDeflate: true })).extensions, "");
});

test("C2 an origin that is not allowed is refused with 403, the server's own and listed ones are let in", async (t) => {
  const { dial, refusal, port } = await listen(t, { client: { allowed_origins: ["https://app.example"] } });
  const from = (origin: string) => ({ headers: { Origin: origin } });
  const refused = await refusal(PATH, from("https://evil.example"));
  assert.deepEqual(refused, {
    status: 403,
    error: { code: 103, message: "origin not allowed; add it to client.allowed_origins" },
  });
  for (const origin of ["https://app.example", `http://127.0.0.1:${port}`]) (await dial(PATH, from(origin))).close();
});

test("C2 an address that tries too often is refused with 429", async (t) => {
  const { dial, refusal } = await listen(t, { client: { rate: { connects: "2/h" } } });
  (await dial()).close();
  (await dial()).close();
  assert.deepEqual(await refusal(), { status: 429, error: { code: 111, message: "too many requests" } });
});

test("C2 an address may have so many connections without connect; one that says it makes room", async (t) => {
  const { dial, refusal } = await listen(t, { client: { unauthenticated_per_address: 2 } });
  const [first, second] = [await dial(), await dial()];
  assert.deepEqual(await refusal(), { status: 503, error: { code: 3504, message: "connection limit" } });
  first.send('{"id":1,"connect":{}}');
  await nextMessage(first);
  const third = await dial();
  assert.equal((await refusal()).status, 503);
  second.close();
  await once(second, "close");
  third.close();
});

test("C2 a full server is refused with 503", async (t) => {
  const { dial, refusal } = await listen(t, { client: { connections: 1 } });
  await dial();
  assert.deepEqual(await refusal(), { status: 503, error: { code: 3504, message: "connection limit" } });
});

test("C2, D4 a server that drains takes no new connection, answers what is under way, and closes with 3001", async (t) => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<string>();
  const onRpc = (): Promise<string> => {
    asked.resolve();
    return answer.promise;
  };
  const { todoku, dial, refusal } = await listen(t, {}, { onRpc });
  const client = await dial();
  client.send('{"id":1,"connect":{}}');
  await nextMessage(client);
  client.send('{"id":2,"rpc":{}}');
  await asked.promise;
  const drained = todoku.drain(0);
  assert.deepEqual(await refusal(), { status: 503, error: { code: 3001, message: "shutdown, reconnect elsewhere" } });
  const [answered, closed] = [nextMessage(client), closing(client)];
  answer.resolve("done");
  assert.equal(await answered, '{"id":2,"rpc":{"data":"done"}}');
  assert.deepEqual(await closed, { code: 3001, reason: "shutdown, reconnect elsewhere" });
  await drained;
});

test("a frame that breaks the WebSocket protocol ends its own connection only", async (t) => {
  const { dial } = await listen(t);
  const [broken, fine] = [await dial(), await dial()];
  // A text frame that is not UTF-8.
  broken.send(Buffer.from([0xc3, 0x28]), { binary: false });
  assert.equal((await closing(broken)).code, 1007);
  fine.send('{"id":1,"connect":{}}');
  await nextMessage(fine);
});

test("a client that does not answer the closing handshake is cut", { timeout: 15_000 }, async (t) => {
  const { server, dial } = await listen(t);
  const client = await dial();
  client.pause();
  await server.close();
});

for (const compression of [false, true]) {
  const how = compression ? "with compression" : "without compression";
  test(
    `a small bound is kept, and delivery goes on when the client reads again, ${how}`,
    { timeout: 30_000 },
    async (t) => {
      const log = { backbone: "memory", subscribe: "any", retention: {} } as const;
      const { todoku, dial } = await listen(t, {
        client: { queue_bytes: "8KiB", compression, ping: "1h" },
        backbones: { memory: { type: "memory" } },
        namespaces: { "": log },
      });
      const client = await dial();
      client.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"a"}}');
      let text = await nextMessage(client);
      while (!text.includes('"id":2')) text += await nextMessage(client);
      client.pause();
      const namespace = todoku.platform.namespaces.of("a");
      assert.ok(namespace);
      const count = 3000;
      // Not to be compressed to nothing.
      const noise = randomBytes(1500).toString("base64");
      for (let n = 1; n <= count; n++) {
        await todoku.platform.publisher.publish(namespace, "a", JSON.stringify([n, noise.slice(n % 500)]));
      }
      const received: number[] = [];
      const all = Promise.withResolvers<void>();
      client.on("message", (data: Buffer) => {
        for (const line of data.toString().split("\n")) {
          received.push((JSON.parse(line) as { push: { pub: { data: [number] } } }).push.pub.data[0]);
        }
        if (received.length >= count) all.resolve();
      });
      client.resume();
      await all.promise;
      assert.deepEqual(
        received,
        Array.from({ length: count }, (_, i) => i + 1),
      );
    },
  );
}

interface Refusal {
  readonly status: number | undefined;
  readonly error: unknown;
}

async function listen(t: TestContext, input: ConfigInput = {}, hooks: Hooks = {}) {
  const http = { host: "127.0.0.1", port: 0 };
  const config = parseConfig({ http, auth: { insecure: true }, log: { level: "silent" }, ...input });
  const server = await startServer(config, { hooks });
  const port = Number(new URL(server.url).port);
  const clients: WebSocket[] = [];
  t.after(async () => {
    for (const client of clients) client.terminate();
    await server.close();
  });
  const begin = (path: string, options: ClientOptions): WebSocket => {
    const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, options);
    // A client that was refused reports its end as an error.
    client.on("error", () => {});
    clients.push(client);
    return client;
  };
  return {
    server,
    todoku: server.todoku,
    port,
    /** Resolves when the WebSocket is open. */
    dial: async (path: string = PATH, options: ClientOptions = {}): Promise<WebSocket> => {
      const client = begin(path, options);
      await once(client, "open");
      return client;
    },
    /** Resolves with the HTTP answer that the server gives instead. */
    refusal: async (path: string = PATH, options: ClientOptions = {}): Promise<Refusal> => {
      const [, response] = (await once(begin(path, options), "unexpected-response")) as [unknown, IncomingMessage];
      const body = JSON.parse(await text(response)) as { error: unknown };
      return { status: response.statusCode, error: body.error };
    },
  };
}

async function nextMessage(client: WebSocket): Promise<string> {
  const [data] = (await once(client, "message")) as [Buffer];
  return data.toString();
}

async function closing(client: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(client, "close")) as [number, Buffer];
  return { code, reason: reason.toString() };
}
