/** WebSockets as a client of another make meets them, on a real HTTP server, behind which every text is sent back. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket as NetSocket } from "node:net";
import { test, type TestContext } from "node:test";
import { WebSocket, type ClientOptions } from "ws";
import { RateLimiter } from "../../auth/rate.ts";
import { systemClock } from "../../clock.ts";
import { Parcel } from "../parcel.ts";
import type { Socket } from "../socket.ts";
import { trustedProxies } from "./address.ts";
import { NodeListener } from "./node.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** What RFC 6455 answers to that key. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

test("texts of every kind of length, in one piece and in fragments, with pings between, come back as they were sent", async (t) => {
  const { dial } = await listen(t);
  const client = await dial();
  const texts = [0, 1, 125, 126, 65_535, 65_536, 1_000_000].map(
    (bytes) => "x".repeat(bytes % 3) + "€".repeat(Math.floor(bytes / 3)),
  );
  const received: string[] = [];
  const all = Promise.withResolvers<void>();
  client.on("close", (code) => all.reject(new Error(`closed with ${code}`)));
  client.on("message", (data: Buffer) => {
    if (received.push(data.toString()) === 2 * texts.length) all.resolve();
  });
  for (const text of texts) {
    client.send(text);
    const half = Math.floor(text.length / 2);
    client.send(text.slice(0, half), { fin: false });
    const pong = once(client, "pong");
    client.ping("p");
    assert.equal(String((await pong)[0]), "p");
    client.send(text.slice(half));
  }
  await all.promise;
  assert.deepEqual(
    received,
    texts.flatMap((text) => [text, text]),
  );
});

test("the handshake is answered as RFC 6455 has it, and what was sent along with it is not lost", async (t) => {
  const { raw } = await listen(t);
  const text = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);
  const { answer } = await raw(
    { "Sec-WebSocket-Protocol": "centrifuge-json, other" },
    { behind: text, until: "\x81\x02hi" },
  );
  assert.match(answer, /^HTTP\/1.1 101 Switching Protocols\r\n/);
  assert.ok(answer.includes(`Sec-WebSocket-Accept: ${ACCEPT}\r\n`), answer);
  assert.ok(answer.includes("Sec-WebSocket-Protocol: centrifuge-json\r\n"), answer);
  assert.ok(!answer.includes("Extensions"), answer);
});

for (const [what, status, headers, method] of [
  ["another method", 405, {}, "POST"],
  ["no key", 400, { "Sec-WebSocket-Key": undefined }, "GET"],
  ["a key that is none", 400, { "Sec-WebSocket-Key": "short" }, "GET"],
  ["another version", 426, { "Sec-WebSocket-Version": "8" }, "GET"],
  ["another protocol than WebSocket", 400, { Upgrade: "h2c" }, "GET"],
  ["a subprotocol that is none", 400, { "Sec-WebSocket-Protocol": "a b" }, "GET"],
] as const) {
  test(`${what} is refused with ${status}, and leaves no place taken`, async (t) => {
    const { raw, dial, opened } = await listen(t, 1);
    const { answer } = await raw(headers, { method, until: "}}" });
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
    assert.equal(answer.includes("Sec-WebSocket-Version: 13\r\n"), status === 426);
    assert.equal(opened.length, 0);
    await dial();
  });
}

test("a client's close is answered with its code, and the connection is over", async (t) => {
  const { dial, opened } = await listen(t);
  for (const code of [1000, 4123]) {
    const client = await dial();
    client.close(code, "bye");
    assert.deepEqual((await once(client, "close")).map(String), [String(code), "bye"]);
    await opened.at(-1)?.closed;
  }
  const silent = await dial();
  silent.close();
  assert.equal((await once(silent, "close"))[0], 1005);
});

test("a close from this side carries its code and reason, and nothing is sent after it", async (t) => {
  const { dial, opened } = await listen(t);
  const client = await dial();
  const messages: string[] = [];
  client.on("message", (data: Buffer) => messages.push(data.toString()));
  const socket = opened.at(-1)?.socket;
  socket?.send(new Parcel("before"));
  socket?.close(3001, "shutdown");
  socket?.close(3000, "again");
  socket?.send(new Parcel("after"));
  assert.deepEqual((await once(client, "close")).map(String), ["3001", "shutdown"]);
  assert.deepEqual(messages, ["before"]);
  await opened.at(-1)?.closed;
});

test("a connection that ends without a word, or breaks, is over on this side", async (t) => {
  const { raw, opened } = await listen(t);
  for (const leave of [(socket: NetSocket) => socket.end(), (socket: NetSocket) => socket.resetAndDestroy()]) {
    const { socket } = await raw({}, { until: "\r\n\r\n" });
    leave(socket);
    await opened.at(-1)?.closed;
  }
});

test(
  "a client that asks for pongs and reads none costs a bound, not all it asked for",
  { timeout: 30_000 },
  async (t) => {
    const { raw, opened } = await listen(t);
    const { socket } = await raw({}, { until: "\r\n\r\n" });
    socket.pause();
    const ping = Buffer.concat([Buffer.from([0x89, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125)]);
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => ping));
    for (let i = 0; i < 200; i++) if (!socket.write(pings)) await once(socket, "drain");
    socket.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0]));
    const one = opened.at(-1);
    await one?.heard;
    assert.ok((one?.socket.bufferedBytes ?? Number.NaN) < 32 * 1024, `${one?.socket.bufferedBytes} bytes wait`);
  },
);

interface Opened {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  /** Resolves with the first text. */
  readonly heard: Promise<string>;
}

async function listen(t: TestContext, unauthenticatedPerAddress = 100) {
  const opened: Opened[] = [];
  const listener = new NodeListener(
    {
      connections: 0,
      accept: (socket) => {
        const closed = Promise.withResolvers<void>();
        const heard = Promise.withResolvers<string>();
        opened.push({ socket, closed: closed.promise, heard: heard.promise });
        return {
          message: (text) => {
            heard.resolve(text);
            socket.send(new Parcel(text));
          },
          drained: () => {},
          closed: () => closed.resolve(),
        };
      },
    },
    {
      path: "/",
      allowedOrigins: [],
      trustedProxies: trustedProxies([]),
      frameBytes: 1024 * 1024,
      compression: false,
      connections: 0,
      unauthenticatedPerAddress,
      attempts: new RateLimiter(systemClock, undefined),
      clock: systemClock,
    },
  );
  const server = createServer();
  listener.attach(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const ends: (() => void)[] = [];
  t.after(async () => {
    for (const end of ends) end();
    server.close();
    await listener.closed(0);
  });
  return {
    opened,
    dial: async (options: ClientOptions = {}): Promise<WebSocket> => {
      const client = new WebSocket(`ws://127.0.0.1:${port}`, options);
      ends.push(() => client.terminate());
      await once(client, "open");
      return client;
    },
    /** Asks for a WebSocket by hand, and reads until `until` has come. */
    raw: async (
      headers: Readonly<Record<string, string | undefined>>,
      { method = "GET", behind = Buffer.alloc(0), until }: { method?: string; behind?: Buffer; until: string },
    ): Promise<{ readonly socket: NetSocket; readonly answer: string }> => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      ends.push(() => socket.destroy());
      const all = {
        Host: "localhost",
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        ...headers,
      };
      const lines = Object.entries(all).flatMap(([name, value]) =>
        value === undefined ? [] : [`${name}: ${value}\r\n`],
      );
      socket.write(Buffer.concat([Buffer.from(`${method} / HTTP/1.1\r\n${lines.join("")}\r\n`), behind]));
      let answer = "";
      while (!answer.includes(until)) answer += ((await once(socket, "data")) as [Buffer])[0].toString("latin1");
      return { socket, answer };
    },
  };
}
