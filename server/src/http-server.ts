/** The HTTP server under clients and API: listening, TLS, and an end that lets what was begun be finished. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { Certificate } from "./certificate.ts";
import {
  answerFirst,
  HEADERS_MS,
  portError,
  REQUEST_MS,
  sendError,
  urlOf,
  type Listening,
  type ListeningServer,
} from "./listening.ts";

type NodeHandler = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/**
 * Connections that the system keeps for us until they are taken in; it may keep fewer (`net.core.somaxconn`). Node's own 511 are
 * few when all clients of a lost gateway come at once: who finds no place tries again only after a second, then two, then four.
 */
const BACKLOG = 16_384;

export class HttpServer implements ListeningServer {
  readonly server: Server;
  readonly #options: Listening<NodeHandler>;
  readonly #sockets = new Set<Socket>();
  #stopping = false;
  readonly #stopFollowing: () => void = () => {};

  /** @throws ConfigError for a certificate that cannot be read. */
  constructor(options: Listening<NodeHandler>) {
    this.#options = options;
    const { tls, handlers, logger } = options;
    const timeouts = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS };
    /** A connection that was busy when the stop began ends with its answer. */
    const finished = (): void => {
      if (this.#stopping) setImmediate(() => this.server.closeIdleConnections());
    };
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      if (this.#stopping) response.setHeader("connection", "close");
      else response.on("finish", finished);
      answerFirst(handlers, request, response).catch((error: unknown) => {
        logger.error({ error }, "a request could not be answered");
        if (response.headersSent) response.destroy();
        else sendError(response, 500, "internal error");
      });
    };
    if (tls) {
      const certificate = new Certificate(tls, logger);
      const server = createTlsServer({ ...timeouts, ...certificate.files }, answer);
      this.#stopFollowing = certificate.follow((files) => server.setSecureContext(files));
      this.server = server;
    } else {
      this.server = createServer(timeouts, answer);
    }
    const sockets = this.#sockets;
    /** One for all connections, however many there are. */
    function forget(this: Socket): void {
      sockets.delete(this);
    }
    this.server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("close", forget);
    });
  }

  listen(): Promise<string> {
    const { host, port, logger, shared = false } = this.#options;
    return new Promise((resolve, reject) => {
      this.server.once("error", (error) => reject(portError(this.#options, error)));
      this.server.listen({ port, host, backlog: BACKLOG, reusePort: shared }, () => {
        this.server.removeAllListeners("error");
        this.server.on("error", (error) => logger.error({ error }, "the listener failed"));
        const address = this.server.address();
        resolve(urlOf(this.#options, typeof address === "object" && address ? address.port : port));
      });
    });
  }

  stop(): Promise<void> {
    this.#stopping = true;
    this.#stopFollowing();
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeIdleConnections();
    });
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
