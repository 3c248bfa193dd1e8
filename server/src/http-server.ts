/** The HTTP server under clients and API: listening, TLS, and an end that lets what was begun be finished. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Config } from "./config.ts";
import type { Logger } from "./logger.ts";
import { Certificate } from "./certificate.ts";

/** Answers some paths; resolves with whether it did. One that rejects fails its request, and nothing else. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

export interface Listening {
  /** The section of the configuration that says where, for errors. */
  readonly key: string;
  readonly host: string;
  readonly port: number;
  readonly tls?: Config["http"]["tls"];
  /** Other processes listen on the port as well, and the system gives each a share of the connections. Linux, FreeBSD. */
  readonly shared?: boolean;
  /** Asked in turn. */
  readonly handlers: readonly RequestHandler[];
  readonly logger: Logger;
}

/**
 * Connections that the system keeps for us until they are taken in; it may keep fewer (`net.core.somaxconn`). Node's own 511 are
 * few when all clients of a lost gateway come at once: who finds no place tries again only after a second, then two, then four.
 */
const BACKLOG = 16_384;
const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;

export class HttpServer {
  readonly server: Server;
  readonly #options: Listening;
  readonly #sockets = new Set<Socket>();
  #stopping = false;
  readonly #stopFollowing: () => void = () => {};

  /** @throws ConfigError for a certificate that cannot be read. */
  constructor(options: Listening) {
    this.#options = options;
    const { tls, handlers, logger } = options;
    const timeouts = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS };
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      if (this.#stopping) response.setHeader("connection", "close");
      // A connection that was busy when the stop began ends with its answer.
      else response.once("finish", () => this.#stopping && setImmediate(() => this.server.closeIdleConnections()));
      answerFirst(handlers, request, response).catch((error: unknown) => {
        logger.error({ error }, "a request could not be answered");
        if (response.headersSent) response.destroy();
        else sendError(response, 500, "internal error");
      });
    };
    if (tls) {
      const certificate = new Certificate(tls, logger);
      const server = createTlsServer({ ...timeouts, ...certificate.files }, answer);
      this.#stopFollowing = certificate.follow(server);
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

  /** Resolves with the URL. @throws Error that names the key to change when the port cannot be had. */
  listen(): Promise<string> {
    const { host, port, key, tls, logger, shared = false } = this.#options;
    return new Promise((resolve, reject) => {
      this.server.once("error", (error: NodeJS.ErrnoException) => reject(portError(key, { host, port }, error)));
      this.server.listen({ port, host, backlog: BACKLOG, reusePort: shared }, () => {
        this.server.removeAllListeners("error");
        this.server.on("error", (error) => logger.error({ error }, "the listener failed"));
        const address = this.server.address();
        const actual = typeof address === "object" && address ? address.port : port;
        resolve(`${tls ? "https" : "http"}://${nameOf(host)}:${actual}`);
      });
    });
  }

  /** Accepts nothing more from now on. Resolves when everything that was open has ended. */
  stop(): Promise<void> {
    this.#stopping = true;
    this.#stopFollowing();
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeIdleConnections();
    });
  }

  /** Cuts what is still open. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Why a port cannot be had, and which key to change. */
export function portError(
  key: string,
  { host, port }: { readonly host: string; readonly port: number },
  error: NodeJS.ErrnoException,
): Error {
  const why =
    error.code === "EADDRINUSE"
      ? `is in use by another process. Stop that process, or set ${key}.port (0 takes a free one)`
      : `cannot be listened on (${error.code ?? error.message}). Set ${key}.host and ${key}.port`;
  return new Error(`[${key}] port ${port} on ${host} ${why}`, { cause: error });
}

async function answerFirst(
  handlers: readonly RequestHandler[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  for (const handler of handlers) if (await handler(request, response)) return;
  sendError(response, 404, "nothing here");
}

function sendError(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { code: status, message } }));
}

/** What to call the host in a URL that is opened on this machine. */
function nameOf(host: string): string {
  if (["0.0.0.0", "::", "127.0.0.1", "::1"].includes(host)) return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}
