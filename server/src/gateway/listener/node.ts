/** Accepts WebSockets on a Node HTTP server. */
import { STATUS_CODES, type IncomingMessage, type Server } from "node:http";
import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { ERRORS } from "@todoku/protocol";
import type { Clock } from "../../clock.ts";
import type { Handshake, Socket } from "../socket.ts";
import { Admission, NO_WEBSOCKET, Refused } from "./admission.ts";
import { Compression, type CompressedSocket } from "./compressed-socket.ts";
import { answerHandshake } from "./handshake.ts";
import type { Acceptor, Listener, ListenerOptions } from "./listener.ts";
import { NodeSocket, type SocketHost } from "./node-socket.ts";
import { TextFrames } from "./text-frames.ts";

export class NodeListener implements Listener, SocketHost {
  readonly clock: Clock;
  readonly frames: TextFrames = new TextFrames();
  readonly frameBytes: number;
  readonly #acceptor: Acceptor;
  readonly #options: ListenerOptions;
  /** Absent: frames are not compressed. */
  readonly #compression: Compression | undefined;
  readonly #admission: Admission;
  readonly #open = new Set<Socket>();
  #whenEmpty: (() => void)[] = [];

  constructor(acceptor: Acceptor, options: ListenerOptions) {
    this.#acceptor = acceptor;
    this.#options = options;
    this.#admission = new Admission(acceptor, options);
    this.clock = options.clock;
    this.frameBytes = options.frameBytes;
    this.#compression = options.compression ? new Compression(this) : undefined;
  }

  /** Listens to the server's upgrades; the returned function stops that. Open connections stay. */
  attach(server: Server): () => void {
    const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      if (pathOf(request) === this.#options.path) this.#upgrade(request, socket, head);
      // Nobody else listens: an upgrade that stays unanswered would hold its socket for ever.
      else if (server.listenerCount("upgrade") === 1) refuse(socket, NO_WEBSOCKET);
    };
    server.on("upgrade", upgrade);
    return () => void server.off("upgrade", upgrade);
  }

  refuseAll(): void {
    this.#admission.refuseAll();
  }

  /** Those that do not answer the closing handshake within `ms` are cut. */
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
    const asked = this.#admission.ask(request);
    if (asked instanceof Refused) return refuse(socket, asked);
    const { handshake, release } = asked;
    if (this.#compression) {
      this.#compression.open(request, socket, head, release, (opened) => this.#begin(opened, handshake, head));
      return;
    }
    const answer = answerHandshake(request);
    if (typeof answer !== "string") {
      release();
      const { status, message, headers } = answer;
      return refuse(socket, new Refused(status, { code: ERRORS.badRequest.code, message }), headers);
    }
    if (socket instanceof NetSocket) {
      // Whatever the server says of its requests: a connection may be silent for long, and what it is sent must not wait.
      socket.setTimeout(0);
      socket.setNoDelay();
    }
    socket.write(answer);
    this.#begin(new NodeSocket(socket, this, release), handshake, head);
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
function refuse(socket: Duplex, { status, body }: Refused, headers = ""): void {
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Type: application/json\r\n${headers}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
