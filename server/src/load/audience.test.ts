/** The load generator is only worth something if it notices what is not right. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { WebSocketServer } from "ws";
import { Audience } from "./audience.ts";
import { centrifugal } from "./dialect.ts";
import { sentTo } from "./even-schedule.ts";
import { stamped } from "./stamp.ts";

const BYTES = 64;

/** A server that lets everybody in and then writes to their sockets what the test says. */
let server: Server;
let sockets: Duplex[];

beforeEach(async () => {
  sockets = [];
  const webSockets = new WebSocketServer({ noServer: true });
  server = createServer().on("upgrade", (request, socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("message", (data: Buffer) => {
        const [connect = "", ...others] = data.toString().split("\n");
        const answers = others.map((line) => `{"id":${(JSON.parse(line) as { id: number }).id},"subscribe":{}}`);
        if (connect.includes("nobody")) webSocket.send('{"id":1,"error":{"code":101,"message":"unauthorized"}}');
        else webSocket.send(['{"id":1,"connect":{}}', ...answers].join("\n"));
        sockets.push(socket);
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

async function audienceOf(connections: number, channels: readonly string[], connect = {}): Promise<Audience> {
  const { port } = server.address() as AddressInfo;
  const target = { host: "127.0.0.1", port, tls: false };
  const audience = new Audience({ target, dialect: centrifugal(connect), connections, channels, bytes: BYTES });
  await audience.gather();
  return audience;
}

function message(sequence: number, channel = "c"): string {
  return JSON.stringify({ push: { channel, pub: { data: stamped({ sequence, due: 1_000_000 + sequence }, BYTES) } } });
}

function frame(...messages: readonly string[]): Buffer {
  const payload = Buffer.from(messages.join("\n"));
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, 0, 0]);
  if (payload.length >= 126) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** Resolves when everybody has received so many frames; it waits for that, not for a time. */
async function received(audience: Audience, frames: number): Promise<void> {
  while (audience.tally.frames < frames) await new Promise(setImmediate);
}

function counted({ tally }: Audience): object {
  const { delivered, lost, repeated, wrong } = tally;
  return { delivered, lost, repeated, wrong };
}

const ALL_WELL = { lost: 0, repeated: 0, wrong: 0 };

describe("an audience", () => {
  test("counts what all of them got, however it was cut into frames", async () => {
    const audience = await audienceOf(3, ["c"]);
    const before = audience.tally.frames;
    const all = Array.from({ length: 6 }, (_, i) => message(i));
    sockets[0]?.write(frame(...all));
    for (const one of all) sockets[1]?.write(frame(one));
    sockets[2]?.write(Buffer.concat([frame(...all.slice(0, 4)), frame(...all.slice(4))]));
    await received(audience, before + 9);
    assert.deepEqual(counted(audience), { delivered: 18, ...ALL_WELL });
    assert.equal(audience.missing(sentTo(["c"], 6)), 0);
    assert.equal(audience.missing(sentTo(["c"], 8)), 6);
    await audience.leave();
  });

  test("understands frames that arrive in pieces, between those of others", async () => {
    const audience = await audienceOf(2, ["c"]);
    const before = audience.tally.frames;
    const bytes = frame(message(0), message(1), message(2));
    for (const byte of bytes) {
      for (const socket of sockets) socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await received(audience, before + 2);
    assert.deepEqual(counted(audience), { delivered: 6, ...ALL_WELL });
    await audience.leave();
  });

  test("notices what one of them did not get, got twice, or got damaged", async () => {
    const audience = await audienceOf(2, ["c"]);
    const before = audience.tally.frames;
    sockets[0]?.write(frame(message(0), message(1), message(2), message(3)));
    await received(audience, before + 1);
    sockets[1]?.write(frame(message(0), message(2), message(2), message(3).replace("x", "y")));
    await received(audience, before + 2);
    assert.deepEqual(counted(audience), { delivered: 6, lost: 1, repeated: 1, wrong: 1 });
    assert.equal(audience.missing(sentTo(["c"], 4)), 1, "the damaged one");
    await audience.leave();
  });

  test("notices a loss that all of them share", async () => {
    const audience = await audienceOf(2, ["c"]);
    const before = audience.tally.frames;
    for (const socket of sockets) socket.write(frame(message(0), message(3)));
    await received(audience, before + 2);
    assert.deepEqual(counted(audience), { delivered: 4, lost: 4, repeated: 0, wrong: 0 });
    await audience.leave();
  });

  test("gives each connection several channels where there are more channels", async () => {
    const audience = await audienceOf(1, ["c:0", "c:1"]);
    const before = audience.tally.frames;
    sockets[0]?.write(frame(message(0, "c:0"), message(0, "c:1"), message(1, "c:0"), message(0, "strange")));
    await received(audience, before + 1);
    assert.deepEqual(counted(audience), { delivered: 3, lost: 0, repeated: 0, wrong: 1 });
    await audience.leave();
  });

  test("says in the server's words why it was not let in", async () => {
    await assert.rejects(audienceOf(1, ["c"], { token: "nobody" }), /refused: .*unauthorized/);
  });

  test("keeps the reason why a connection has ended", async () => {
    const audience = await audienceOf(2, ["c"]);
    const reason = Buffer.from("\u000b\u00c0slow", "latin1");
    sockets[0]?.write(Buffer.concat([Buffer.from([0x88, reason.length]), reason]));
    while (audience.ends.length === 0) await new Promise(setImmediate);
    assert.deepEqual([...audience.ends], ["closed with 3008 slow"]);
    assert.equal(audience.size, 1);
    await audience.leave();
  });
});
