/**
 * The floor: a bare loop on the package `ws` that does nothing but what must be done. It answers `connect` and `subscribe`,
 * and sends what is published to a channel's subscribers: encoded once, one write per connection and turn. No tokens, no
 * limits, no positions. Called with its port.
 */
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { obey } from "./obey.ts";

interface Command {
  readonly id: number;
  readonly connect?: object;
  readonly subscribe?: { readonly channel: string };
}

interface Channel {
  readonly subscribers: Set<Duplex>;
  queued: string[];
}

const channels = new Map<string, Channel>();
let waiting: Channel[] = [];

const server = createServer();
const sockets = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false });
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on("message", (data: Buffer) => webSocket.send(answer(data.toString(), socket)));
    webSocket.on("error", () => {});
    socket.on("close", () => {
      for (const { subscribers } of channels.values()) subscribers.delete(socket);
    });
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));

function answer(text: string, socket: Duplex): string {
  const replies = text.split("\n").map((line) => {
    const { id, subscribe } = JSON.parse(line) as Command;
    if (!subscribe) return `{"id":${id},"connect":{}}`;
    channelOf(subscribe.channel).subscribers.add(socket);
    return `{"id":${id},"subscribe":{}}`;
  });
  return replies.join("\n");
}

function channelOf(name: string): Channel {
  const channel = channels.get(name) ?? { subscribers: new Set(), queued: [] };
  channels.set(name, channel);
  return channel;
}

obey((name, data) => {
  const channel = channelOf(name);
  const queued = channel.queued.push(`{"push":{"channel":"${name}","pub":{"data":${JSON.stringify(data)}}}}`);
  if (queued === 1 && waiting.push(channel) === 1) setImmediate(flush);
});

function flush(): void {
  for (const channel of waiting) {
    const frame = frameOf(Buffer.from(channel.queued.join("\n")));
    channel.queued = [];
    for (const socket of channel.subscribers) socket.write(frame);
  }
  waiting = [];
}

/** An unmasked text frame. */
function frameOf(payload: Buffer): Buffer {
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.from([0x81, length]), payload]);
  if (length < 65_536) return Buffer.concat([Buffer.from([0x81, 126, length >> 8, length & 0xff]), payload]);
  const head = Buffer.alloc(10);
  head.writeUInt16BE(0x81_7f, 0);
  head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}
