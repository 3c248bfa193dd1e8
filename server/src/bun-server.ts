/** The server under clients and API on Bun: one `Bun.serve` for both, TLS, and an end that lets what was begun be finished. */
import { setTimeout } from "node:timers/promises";
import { BunHttpRequest, BunHttpResponse } from "./bun-exchange.ts";
import { Certificate, type CertificateFiles } from "./certificate.ts";
import { NO_WEBSOCKET } from "./gateway/listener/admission.ts";
import type { BunListener, BunSocket } from "./gateway/listener/bun.ts";
import type { BunHttpServer, BunRequest, BunRuntime, BunServeOptions } from "./gateway/listener/bun-runtime.ts";
import {
  answerFirst,
  HEADERS_MS,
  portError,
  REQUEST_MS,
  sendError,
  urlOf,
  type Listening,
  type ListeningServer,
  type RequestHandler,
} from "./listening.ts";

/**
 * Bun does not tell when a client has answered the closing handshake. A process that ends right after it has sent its own
 * part resets the connections on which something is still under way to it, and the code could be lost on the way.
 */
const LINGER_MS = 100;
/** Far beyond what any handler takes: each refuses with its own words what it does not want. */
const BODY_BYTES = 2 ** 30;

export interface BunListening extends Listening<RequestHandler> {
  /** Takes the WebSockets; absent: there are none here. */
  readonly webSockets?: BunListener;
}

export class BunServer implements ListeningServer {
  readonly #bun: BunRuntime;
  readonly #options: BunListening;
  readonly #certificate: Certificate | undefined;
  /** Those of earlier certificates too, as long as they have connections. */
  readonly #servers = new Set<BunHttpServer<BunSocket>>();
  #stopping = false;
  #stopFollowing: () => void = () => {};

  /** @throws ConfigError for a certificate that cannot be read. */
  constructor(bun: BunRuntime, options: BunListening) {
    this.#bun = bun;
    this.#options = options;
    this.#certificate = options.tls && new Certificate(options.tls, options.logger);
  }

  async listen(): Promise<string> {
    const { port } = this.#serve(this.#options.port, this.#certificate?.files);
    this.#stopFollowing = this.#certificate?.follow((files) => this.#renew(port, files)) ?? this.#stopFollowing;
    return urlOf(this.#options, port);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopFollowing();
    await Promise.all([...this.#servers].map((server) => server.stop()));
    if (this.#options.webSockets) await setTimeout(LINGER_MS);
  }

  cut(): void {
    for (const server of this.#servers) void server.stop(true);
  }

  #serve(port: number, tls: CertificateFiles | undefined): BunHttpServer<BunSocket> {
    const { host, webSockets, logger, shared = false } = this.#options;
    const options: BunServeOptions<BunSocket> = {
      hostname: host,
      port,
      reusePort: shared,
      ...(tls && { tls }),
      development: false,
      maxRequestBodySize: BODY_BYTES,
      idleTimeout: HEADERS_MS / 1000,
      ...(webSockets && { websocket: webSockets.handlers }),
      fetch: (request, server) => this.#take(request, server),
      error: (error) => {
        logger.error({ error }, "a request could not be answered");
        return new Response(null, { status: 500 });
      },
    };
    try {
      const server = this.#bun.serve(options);
      this.#servers.add(server);
      return server;
    } catch (error) {
      throw portError(this.#options, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Bun takes a certificate only when it begins to listen: another begins, and this one ends with its last connection. */
  #renew(port: number, files: CertificateFiles): void {
    const before = [...this.#servers];
    for (const server of before) void server.stop().then(() => this.#servers.delete(server));
    this.#serve(port, files);
  }

  #take(request: BunRequest, server: BunHttpServer<BunSocket>): Response | undefined | Promise<Response | undefined> {
    const asked = new BunHttpRequest(request, server.requestIP(request)?.address ?? "");
    if (asked.headers.upgrade?.toLowerCase() === "websocket") {
      const { webSockets } = this.#options;
      if (webSockets && asked.url.split("?", 1)[0] === webSockets.path)
        return webSockets.upgrade(asked, request, server);
      return new Response(NO_WEBSOCKET.body, {
        status: NO_WEBSOCKET.status,
        headers: { "content-type": "application/json", connection: "close" },
      });
    }
    server.timeout(request, REQUEST_MS / 1000);
    const response = new BunHttpResponse();
    if (this.#stopping) response.setHeader("connection", "close");
    answerFirst(this.#options.handlers, asked, response).catch((error: unknown) => {
      this.#options.logger.error({ error }, "a request could not be answered");
      if (!response.headersSent) sendError(response, 500, "internal error");
    });
    return response.sent;
  }
}
