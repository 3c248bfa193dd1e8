/** Wires the configuration to backbones, namespaces, gateway and API. The only file that knows them all. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { readFileSync, watch } from "node:fs";
import { hostname } from "node:os";
import { createApi, type ApiHandler } from "./api/api.ts";
import { Health } from "./api/health.ts";
import { Metrics } from "./api/metrics.ts";
import { ApiKeys } from "./auth/keys.ts";
import { jwtAuthenticator } from "./auth/jwt.ts";
import { RateLimiter } from "./auth/rate.ts";
import type { Backbone } from "./backbones/contract.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { Gateway } from "./gateway/gateway.ts";
import { trustedProxies } from "./gateway/listener/address.ts";
import { NodeListener } from "./gateway/listener/node.ts";
import type { GatewayObserver } from "./gateway/observer.ts";
import type { Operations } from "./gateway/operations.ts";
import type { Hooks } from "./hooks.ts";
import { createLogger, type Logger } from "./logger.ts";
import { logging } from "./logging-observer.ts";
import { Platform } from "./platform.ts";
import { preflight } from "./preflight.ts";
import { VERSION } from "./version.ts";

/** Path of the WebSocket, kept from the base protocol. */
export const WEBSOCKET_PATH = "/connection/websocket";

const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;
/** Clients that do not answer the closing handshake are cut after so long. */
const CLOSE_PATIENCE_MS = 1000;

export interface ServerOptions {
  readonly hooks?: Hooks;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Answers what the API does not, such as the page at `/`. Resolves with whether it did. */
  readonly page?: ApiHandler;
}

/** Everything behind the listeners: it can be attached to any HTTP server. */
export class Todoku {
  readonly platform: Platform;
  readonly gateway: Gateway;
  readonly operations: Operations;
  readonly logger: Logger;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #health: Health;
  readonly #metrics: Metrics;
  readonly #listeners: NodeListener[] = [];
  readonly #detach: (() => void)[] = [];

  private constructor(
    config: Config,
    platform: Platform,
    metrics: Metrics,
    observer: GatewayObserver,
    options: ServerOptions,
  ) {
    const { hooks = {}, clock = systemClock, logger = createLogger(config.log) } = options;
    const { jwt } = config.auth;
    this.#config = config;
    this.#clock = clock;
    this.#metrics = metrics;
    this.logger = logger;
    this.platform = platform;
    this.#health = new Health(platform.backbones, clock);
    this.gateway = new Gateway({
      limits: config.client,
      insecure: config.auth.insecure,
      version: VERSION,
      name: hostname(),
      clock,
      observer,
      hooks,
      namespaces: platform.namespaces,
      publisher: platform.publisher,
      ...(jwt && { authenticator: jwtAuthenticator(jwt, clock) }),
    });
    this.operations = this.gateway.operations;
    metrics.watch(() => this.gateway.waiting());
    this.gateway.start();
  }

  /** @throws ConfigError, BackboneError. */
  static async open(config: Config, options: ServerOptions = {}): Promise<Todoku> {
    if (config.production && config.auth.insecure) {
      throw new ConfigError([
        "auth.insecure is true and so is production. Set auth.jwt and auth.api_keys instead, or production to false",
      ]);
    }
    const problems = preflight(config);
    if (problems.length > 0) throw new ConfigError(problems);
    const { clock = systemClock, logger = createLogger(config.log) } = options;
    const metrics = new Metrics();
    const observer = logging(metrics, logger);
    const platform = await Platform.open(config, clock, observer);
    return new Todoku(config, platform, metrics, observer, { ...options, logger });
  }

  /** Takes WebSockets from an HTTP server's upgrades. */
  attach(server: Server, path: string = WEBSOCKET_PATH): void {
    const { client, http } = this.#config;
    const listener = new NodeListener(this.gateway, {
      path,
      allowedOrigins: client.allowed_origins,
      trustedProxies: trustedProxies(http.trusted_proxies),
      frameBytes: client.frame_bytes,
      compression: client.compression,
      connections: client.connections,
      unauthenticatedPerAddress: client.unauthenticated_per_address,
      attempts: new RateLimiter(this.#clock, client.rate.connects),
      clock: this.#clock,
    });
    this.#listeners.push(listener);
    this.#detach.push(listener.attach(server));
  }

  /** The HTTP API, health and metrics, as a request listener that resolves with whether it answered. */
  api(internal = false): ApiHandler {
    const { auth, client, http } = this.#config;
    return createApi({
      namespaces: this.platform.namespaces,
      publisher: this.platform.publisher,
      operations: this.operations,
      history: { messages: client.history_limit, bytes: 16 * client.queue_bytes },
      keys: new ApiKeys(auth.api_keys),
      insecure: auth.insecure,
      trustedProxies: trustedProxies(http.trusted_proxies),
      allowedOrigins: client.allowed_origins,
      bodyBytes: Math.max(4 * client.message_bytes, 16 * 1024 * 1024),
      health: this.#health,
      metrics: this.#metrics,
      version: VERSION,
      internal,
    });
  }

  /** Sends all clients elsewhere over `ms`, finishing what is under way, and lets go of everything. */
  async drain(ms: number = this.#config.drain): Promise<void> {
    this.#health.drain();
    for (const listener of this.#listeners) listener.refuseAll();
    await this.gateway.drain(ms);
    await this.close();
  }

  /** As `drain`, at once. */
  async close(): Promise<void> {
    for (const detach of this.#detach.splice(0)) detach();
    await this.gateway.stop();
    await Promise.all(this.#listeners.map((listener) => listener.closed(CLOSE_PATIENCE_MS)));
    await this.platform.close();
  }

  get backbones(): ReadonlyMap<string, Backbone> {
    return this.platform.backbones;
  }
}

export interface RunningServer {
  readonly todoku: Todoku;
  /** Where clients reach it. */
  readonly url: string;
  /** Where API and metrics are, if on a listener of their own. */
  readonly internalUrl?: string;
  drain(ms?: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the backbones and listens.
 *
 * @throws ConfigError, BackboneError, and an `Error` that names the key to change when the port cannot be had.
 */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<RunningServer> {
  const todoku = await Todoku.open(config, options);
  const servers: Server[] = [];
  try {
    const { http, internal } = config;
    const page = options.page ?? (async () => false);
    const main = makeServer(http.tls, internal ? [page] : [todoku.api(), page]);
    servers.push(main);
    todoku.attach(main);
    const url = await listen(main, http.host, http.port, "http", http.tls !== undefined);
    const side = internal && makeServer(undefined, [todoku.api(true)]);
    if (side) servers.push(side);
    const internalUrl = side && internal && (await listen(side, internal.host, internal.port, "internal", false));
    const end = async (finish: () => Promise<void>): Promise<void> => {
      const closing = servers.map((server) => closeServer(server));
      await finish();
      for (const server of servers) server.closeAllConnections();
      await Promise.all(closing);
    };
    return {
      todoku,
      url,
      ...(internalUrl !== undefined && { internalUrl }),
      drain: (ms) => end(() => todoku.drain(ms)),
      close: () => end(() => todoku.close()),
    };
  } catch (error) {
    for (const server of servers) server.close();
    await todoku.close();
    throw error;
  }
}

function makeServer(tls: Config["http"]["tls"], handlers: readonly ApiHandler[]): Server {
  const answer = (request: IncomingMessage, response: ServerResponse): void =>
    void answerFirst(handlers, request, response);
  const timeouts = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS };
  if (!tls) return createServer(timeouts, answer);
  const read = (): { cert: Buffer; key: Buffer } => ({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) });
  const server = createTlsServer({ ...timeouts, ...read() }, answer);
  reloadOnChange(server, [tls.cert, tls.key], read);
  return server;
}

/** A renewed certificate is taken up without a restart. */
function reloadOnChange(server: TlsServer, files: readonly string[], read: () => { cert: Buffer; key: Buffer }): void {
  const reload = (): void => {
    try {
      server.setSecureContext(read());
    } catch {
      // Half written: the next event finds it whole.
    }
  };
  const watchers = files.map((file) => watch(file, { persistent: false }, reload));
  server.once("close", () => {
    for (const watcher of watchers) watcher.close();
  });
}

async function answerFirst(
  handlers: readonly ApiHandler[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  for (const handler of handlers) if (await handler(request, response)) return;
  response.writeHead(404, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { code: 404, message: "nothing here" } }));
}

function listen(server: Server, host: string, port: number, key: string, secure: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why =
        error.code === "EADDRINUSE" ? "is in use by another process" : `cannot be had (${error.code ?? error.message})`;
      reject(
        new Error(
          `[${key}] port ${port} on ${host} ${why}. Stop that process, or set ${key}.port (0 takes a free one)`,
          { cause: error },
        ),
      );
    });
    server.listen(port, host, () => {
      const address = server.address();
      const actual = typeof address === "object" && address ? address.port : port;
      const name = host === "0.0.0.0" || host === "::" || host === "127.0.0.1" ? "localhost" : host;
      resolve(`${secure ? "https" : "http"}://${name}:${actual}`);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
