/**
 * The control row: a bare loop on the package `ws` that does nothing but what must be done. It answers `connect` and
 * `subscribe`, and sends what is published to all subscribers: encoded once, one write per connection and turn. No tokens, no
 * channels, no limits. Called with its port; answers the same clients as the real server.
 */
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";

interface Command {
  readonly id: number;
  readonly connect?: object;
  readonly subscribe?: object;
  readonly publish?: { readonly channel: string; readonly data: unknown };
}

const subscribers: Duplex[] = [];
let queued: string[] = [];

const server = createServer();
const sockets = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false });
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on("message", (data: Buffer) => take(webSocket, socket, data.toString()));
    webSocket.on("error", () => {});
    socket.on("close", () => {
      const at = subscribers.indexOf(socket);
      if (at !== -1) subscribers.splice(at, 1);
    });
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));

function take(webSocket: WebSocket, socket: Duplex, text: string): void {
  const replies = text.split("\n").map((line) => {
    const { id, connect, publish } = JSON.parse(line) as Command;
    if (connect) return `{"id":${id},"connect":{}}`;
    if (publish) {
      const { channel, data } = publish;
      if (queued.push(`{"push":{"channel":"${channel}","pub":{"data":${JSON.stringify(data)}}}}`) === 1)
        setImmediate(flush);
      return `{"id":${id},"publish":{}}`;
    }
    subscribers.push(socket);
    return `{"id":${id},"subscribe":{}}`;
  });
  webSocket.send(replies.join("\n"));
}

function flush(): void {
  const frame = frameOf(Buffer.from(queued.join("\n")));
  queued = [];
  for (const socket of subscribers) socket.write(frame);
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
