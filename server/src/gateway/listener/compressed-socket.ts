/** A WebSocket that may compress its frames, by the package `ws`. A connection costs several times the memory of a plain one. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import type { Payload, Socket, SocketEvents } from "../socket.ts";
import { notSpoken, type SocketHost } from "./node-socket.ts";

const TEXT = { binary: false };

/** Opens them, out of upgrades. */
export class Compression {
  readonly #host: SocketHost;
  readonly #sockets: WebSocketServer;

  constructor(host: SocketHost) {
    this.#host = host;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: host.frameBytes,
      perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true },
    });
  }

  /** `release` is called once: when the client is authenticated, or the connection is over. */
  open(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    release: () => void,
    opened: (socket: CompressedSocket) => void,
  ): void {
    stream.once("close", release);
    this.#sockets.handleUpgrade(request, stream, head, (webSocket) => {
      opened(new CompressedSocket(webSocket, stream, this.#host, release));
    });
  }
}

export class CompressedSocket implements Socket {
  readonly authenticated: () => void;
  readonly #webSocket: WebSocket;
  readonly #stream: Duplex;
  readonly #host: SocketHost;
  #onSent: () => void = () => {};

  /** `stream` is the one below the WebSocket. */
  constructor(webSocket: WebSocket, stream: Duplex, host: SocketHost, release: () => void) {
    this.#webSocket = webSocket;
    this.#stream = stream;
    this.#host = host;
    this.authenticated = release;
  }

  begin(events: SocketEvents): void {
    const webSocket = this.#webSocket;
    this.#onSent = () => {
      if (webSocket.bufferedAmount === 0) events.drained();
    };
    webSocket.on("message", (data: RawData, isBinary: boolean) => {
      if (isBinary) this.close(notSpoken.code, notSpoken.reason);
      else events.message(textOf(data));
    });
    // Too large a frame, broken UTF-8, a broken frame: `ws` closes with the code of RFC 6455 and reports it here.
    webSocket.on("error", () => {});
    webSocket.on("close", () => {
      this.#host.parted(this);
      events.closed();
    });
  }

  /** With what still waits to be compressed. */
  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  get uncompressedBytes(): number {
    return this.#webSocket.bufferedAmount - this.#stream.writableLength;
  }

  send({ bytes }: Payload): void {
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.send(bytes, TEXT, this.#onSent);
  }

  close(code: number, reason: string): void {
    this.#webSocket.close(code, reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString();
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data).toString();
}
