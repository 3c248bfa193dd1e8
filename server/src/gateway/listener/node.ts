/** Accepts WebSockets on a Node HTTP server. */
import { STATUS_CODES, type IncomingMessage, type Server } from "node:http";
import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { CLOSES, ERRORS } from "@todoku/protocol";
import type { RateLimiter } from "../../auth/rate.ts";
import type { Clock } from "../../clock.ts";
import type { Handshake, Socket, SocketEvents } from "../socket.ts";
import { Compression, type CompressedSocket } from "./compressed-socket.ts";
import { answerHandshake } from "./handshake.ts";
import { NodeSocket, type SocketHost } from "./node-socket.ts";
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

export class NodeListener implements SocketHost {
  readonly clock: Clock;
  readonly frames: TextFrames = new TextFrames();
  readonly frameBytes: number;
  readonly #acceptor: Acceptor;
  readonly #options: ListenerOptions;
  /** Absent: frames are not compressed. */
  readonly #compression: Compression | undefined;
  readonly #unauthenticated = new Map<string, number>();
  readonly #open = new Set<Socket>();
  #refusing = false;
  #whenEmpty: (() => void)[] = [];

  constructor(acceptor: Acceptor, options: ListenerOptions) {
    this.#acceptor = acceptor;
    this.#options = options;
    this.clock = options.clock;
    this.frameBytes = options.frameBytes;
    this.#compression = options.compression ? new Compression(this) : undefined;
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
        for (const socket of this.#open) socket.terminate();
      });
      this.#whenEmpty.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", destroy);
    if (!socket.readable || !socket.writable) return void socket.destroy();
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
    const handshake = { address, ...(origin !== undefined && { origin }) };
    if (this.#compression) {
      this.#compression.open(request, socket, head, release, (opened) => this.#begin(opened, handshake, head));
      return;
    }
    const answer = answerHandshake(request);
    if (typeof answer !== "string") {
      release();
      return refuse(socket, answer.status, ERRORS.badRequest.code, answer.message, answer.headers);
    }
    if (socket instanceof NetSocket) {
      // Whatever the server says of its requests: a connection may be silent for long, and what it is sent must not wait.
      socket.setTimeout(0);
      socket.setNoDelay();
    }
    socket.write(answer);
    this.#begin(new NodeSocket(socket, this, release), handshake, head);
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

  #begin(socket: NodeSocket | CompressedSocket, handshake: Handshake, head: Buffer): void {
    this.#open.add(socket);
    socket.begin(this.#acceptor.accept(socket, handshake), head);
  }

  parted(socket: Socket): void {
    this.#open.delete(socket);
    if (this.#open.size === 0) for (const empty of this.#whenEmpty.splice(0)) empty();
  }
}

/** Of a broken connection. */
function destroy(this: Duplex): void {
  this.destroy();
}

function pathOf({ url = "/" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}

/** Answers an upgrade in HTTP and ends the connection. */
function refuse(socket: Duplex, status: number, code: number, message: string, headers = ""): void {
  const body = JSON.stringify({ error: { code, message } });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Type: application/json\r\n${headers}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
