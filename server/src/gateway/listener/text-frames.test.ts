import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocketServer, WebSocket } from "ws";
import { TextFrames } from "./text-frames.ts";

test("one payload's frame is made once, another's anew", () => {
  const frames = new TextFrames();
  const [a, b] = [Buffer.from("a"), Buffer.from("b")];
  assert.equal(frames.of(a), frames.of(a));
  assert.deepEqual([...frames.of(b)], [0x81, 1, 0x62]);
  assert.deepEqual([...frames.of(a)], [0x81, 1, 0x61]);
});

test("payloads of every kind of length are what another implementation reads", async (t) => {
  const frames = new TextFrames();
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => sockets.close());
  await once(sockets, "listening");
  const { port } = sockets.address() as { port: number };
  const texts = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000].map((length) => "x".repeat(length));
  sockets.on("connection", (_, request) => {
    for (const text of texts) request.socket.write(frames.of(Buffer.from(text)));
  });
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  t.after(() => client.terminate());
  const read: string[] = [];
  await new Promise<void>((resolve, reject) => {
    client.on("error", reject);
    client.on("message", (data) => {
      if (read.push((data as Buffer).toString()) === texts.length) resolve();
    });
  });
  assert.deepEqual(
    read.map(({ length }) => length),
    texts.map(({ length }) => length),
  );
});
