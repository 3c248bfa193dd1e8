/** Accepts WebSockets on a Node HTTP server, through the package `ws`. */
import { STATUS_CODES, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { CLOSES, ERRORS } from "@todoku/protocol";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import type { RateLimiter } from "../../auth/rate.ts";
import type { Clock } from "../../clock.ts";
import type { Handshake, Socket, SocketEvents } from "../socket.ts";
import { addressOf, type TrustedProxies } from "./address.ts";
import { mayConnectFrom } from "./origin.ts";
import { TextFrames } from "./text-frames.ts";

/** What the listener hands connections to. */
export interface Acceptor {
  readonly connections: number;
  accept(socket: Socket, handshake: Handshake): SocketEvents;
}

export interface ListenerOptions {
  /** Path of the upgrade; other paths are left to other listeners. */
  readonly path: string;
  readonly allowedOrigins: readonly string[];
  readonly trustedProxies: TrustedProxies;
  /** Largest frame in bytes. */
  readonly frameBytes: number;
  readonly compression: boolean;
  /** Most connections; 0: no limit. */
  readonly connections: number;
  /** Most connections of one address without `connect`. */
  readonly unauthenticatedPerAddress: number;
  /** Connection attempts by address. */
  readonly attempts: RateLimiter;
  readonly clock: Clock;
}

export class NodeListener {
  readonly #acceptor: Acceptor;
  readonly #options: ListenerOptions;
  readonly #sockets: WebSocketServer;
  readonly #unauthenticated = new Map<string, number>();
  readonly #open = new Set<WebSocket>();
  readonly #frames = new TextFrames();
  #refusing = false;
  #whenEmpty: (() => void)[] = [];

  constructor(acceptor: Acceptor, options: ListenerOptions) {
    this.#acceptor = acceptor;
    this.#options = options;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: options.frameBytes,
      perMessageDeflate: options.compression ? { serverNoContextTakeover: true, clientNoContextTakeover: true } : false,
    });
  }

  /** Listens to the server's upgrades; the returned function stops that. Open connections stay. */
  attach(server: Server): () => void {
    const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      if (pathOf(request) === this.#options.path) this.#upgrade(request, socket, head);
      // Nobody else listens: an upgrade that stays unanswered would hold its socket for ever.
      else if (server.listenerCount("upgrade") === 1)
        refuse(socket, 404, ERRORS.methodNotFound.code, "no WebSocket here");
    };
    server.on("upgrade", upgrade);
    return () => void server.off("upgrade", upgrade);
  }

  /** Refuses new connections from now on. */
  refuseAll(): void {
    this.#refusing = true;
  }

  /**
   * Refuses new connections, and resolves when the open ones are closed. Those that do not answer the closing handshake
   * within `ms` are cut. Whoever calls this has asked them to close.
   */
  async closed(ms: number): Promise<void> {
    this.refuseAll();
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(ms, () => {
        for (const webSocket of this.#open) webSocket.terminate();
      });
      this.#whenEmpty.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const { allowedOrigins, trustedProxies, connections, unauthenticatedPerAddress, attempts } = this.#options;
    const address = addressOf(request, trustedProxies);
    const { origin } = request.headers;
    if (this.#refusing) return refuse(socket, 503, CLOSES.shutdown.code, CLOSES.shutdown.message);
    if (!mayConnectFrom(origin, request.headers.host, allowedOrigins)) {
      return refuse(socket, 403, ERRORS.permissionDenied.code, "origin not allowed; add it to client.allowed_origins");
    }
    if (!attempts.take(address))
      return refuse(socket, 429, ERRORS.tooManyRequests.code, ERRORS.tooManyRequests.message);
    const waiting = this.#unauthenticated.get(address) ?? 0;
    const full = connections > 0 && this.#acceptor.connections >= connections;
    if (full || waiting >= unauthenticatedPerAddress) {
      return refuse(socket, 503, CLOSES.connectionLimit.code, CLOSES.connectionLimit.message);
    }
    this.#unauthenticated.set(address, waiting + 1);
    const release = this.#releaser(address);
    socket.once("close", release);
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#accept(webSocket, socket, { address, ...(origin !== undefined && { origin }) }, release);
    });
  }

  /** Gives one unauthenticated place of the address back, once. */
  #releaser(address: string): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = (this.#unauthenticated.get(address) ?? 1) - 1;
      if (left > 0) this.#unauthenticated.set(address, left);
      else this.#unauthenticated.delete(address);
    };
  }

  #accept(webSocket: WebSocket, stream: Duplex, handshake: Handshake, release: () => void): void {
    this.#open.add(webSocket);
    const socket = new NodeSocket(webSocket, stream, this.#frames, release, () => events.drained());
    const events = this.#acceptor.accept(socket, handshake);
    webSocket.on("message", (data: RawData, isBinary: boolean) => {
      if (isBinary) webSocket.close(CLOSES.badRequest.code, "bad request: binary frames are not spoken here");
      else events.message(textOf(data));
    });
    // Too large a frame, broken UTF-8, a broken frame: `ws` closes with the code of RFC 6455 and reports it here.
    webSocket.on("error", () => {});
    webSocket.on("close", () => {
      this.#open.delete(webSocket);
      events.closed();
      if (this.#open.size === 0) for (const empty of this.#whenEmpty.splice(0)) empty();
    });
  }
}

class NodeSocket implements Socket {
  readonly #webSocket: WebSocket;
  /** Frames go straight to it; absent where an extension (compression) makes each connection's frames its own. */
  readonly #stream: Duplex | undefined;
  readonly #frames: TextFrames;
  readonly authenticated: () => void;
  readonly #onSent: () => void;
  #waiting = false;

  constructor(
    webSocket: WebSocket,
    stream: Duplex,
    frames: TextFrames,
    onAuthenticated: () => void,
    onDrained: () => void,
  ) {
    this.#webSocket = webSocket;
    this.#stream = webSocket.extensions === "" ? stream : undefined;
    this.#frames = frames;
    this.authenticated = onAuthenticated;
    this.#onSent = () => {
      this.#waiting = false;
      if (webSocket.bufferedAmount === 0) onDrained();
    };
  }

  /** With what still waits to be compressed. */
  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  send(frame: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    if (!this.#stream) return this.#webSocket.send(frame, TEXT, this.#onSent);
    // A callback for each frame would cost more than all else here: only what the system does not take at once has one.
    this.#stream.write(this.#frames.of(frame));
    if (this.#waiting || this.#stream.writableLength === 0) return;
    this.#waiting = true;
    // Done when all before it is.
    this.#stream.write(NOTHING, this.#onSent);
  }

  close(code: number, reason: string): void {
    this.#webSocket.close(code, reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }
}

const TEXT = { binary: false };
const NOTHING = new Uint8Array();

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString();
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data).toString();
}

function pathOf({ url = "/" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}

/** Answers an upgrade in HTTP and ends the connection. */
function refuse(socket: Duplex, status: number, code: number, message: string): void {
  const body = JSON.stringify({ error: { code, message } });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
