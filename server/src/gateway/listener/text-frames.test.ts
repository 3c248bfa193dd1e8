import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocketServer, WebSocket } from "ws";
import { Parcel } from "../parcel.ts";
import { TextFrames } from "./text-frames.ts";

test("one payload's frame is made once, another's anew", () => {
  const frames = new TextFrames();
  const [a, b] = [new Parcel("a"), new Parcel("b")];
  assert.equal(frames.of(a, false), frames.of(a, false));
  assert.deepEqual([...frames.of(b, false)], [0x81, 1, 0x62]);
  assert.deepEqual([...frames.of(a, false)], [0x81, 1, 0x61]);
});

test("large frames are written in one place again and again, but never over one that somebody keeps", () => {
  const frames = new TextFrames();
  const large = (letter: string): Parcel => new Parcel(letter.repeat(5000));
  const text = (frame: Buffer): string => frame.toString("latin1", 4);
  const first = frames.of(large("a"), false);
  const second = frames.of(large("b"), false);
  assert.equal(second.buffer, first.buffer);
  frames.kept();
  const third = frames.of(large("c"), false);
  const payload = large("d");
  const known = frames.of(payload, true);
  const shared = frames.of(payload, false);
  assert.equal(shared, known);
  const other = large("e");
  const early = frames.of(other, false);
  assert.equal(early.buffer, third.buffer);
  const late = frames.of(other, true);
  frames.of(large("f"), false);
  assert.deepEqual(
    [second, known, shared, late].map(text),
    ["b", "d", "d", "e"].map((one) => one.repeat(5000)),
  );
});

test("payloads of every kind of length are what another implementation reads", async (t) => {
  const frames = new TextFrames();
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => sockets.close());
  await once(sockets, "listening");
  const { port } = sockets.address() as { port: number };
  const texts = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000].map((length) => "x".repeat(length));
  sockets.on("connection", (_, request) => {
    for (const text of texts) request.socket.write(frames.of(new Parcel(text), true));
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
