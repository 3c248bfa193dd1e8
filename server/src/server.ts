/** Wires the configuration to backbones, namespaces, gateway and API. The only file that knows them all. */
import type { Server } from "node:http";
import { hostname } from "node:os";
import { createApi, createHealthApi, type ApiHandler, type ApiOptions } from "./api/api.ts";
import { Health, type WorkerCount } from "./api/health.ts";
import { Metrics, textOf, type MetricSnapshot } from "./api/metrics.ts";
import { ApiKeys } from "./auth/keys.ts";
import { jwtAuthenticator } from "./auth/jwt.ts";
import { RateLimiter } from "./auth/rate.ts";
import type { Backbone } from "./backbones/contract.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { Gateway } from "./gateway/gateway.ts";
import { trustedProxies, type TrustedProxies } from "./gateway/listener/address.ts";
import { BunListener } from "./gateway/listener/bun.ts";
import { bunRuntime } from "./gateway/listener/bun-runtime.ts";
import type { Listener, ListenerOptions } from "./gateway/listener/listener.ts";
import { NodeListener } from "./gateway/listener/node.ts";
import type { GatewayObserver } from "./gateway/observer.ts";
import type { Operations } from "./gateway/operations.ts";
import { queueBytesWithin } from "./memory-limit.ts";
import type { Hooks } from "./hooks.ts";
import { BunServer } from "./bun-server.ts";
import { HttpServer } from "./http-server.ts";
import type { ListeningServer } from "./listening.ts";
import { Ingestion } from "./ingest.ts";
import { createLogger, type Logger } from "./logger.ts";
import { logging } from "./logging-observer.ts";
import { Platform, type OwnedElsewhere } from "./platform.ts";
import { preflight } from "./preflight.ts";
import { QueueSampler } from "./queues/sampler.ts";
import type { Archiver, ArchiveObserver } from "./storage/archiver.ts";
import { VERSION } from "./version.ts";

/** Path of the WebSocket, kept from the base protocol. */
export const WEBSOCKET_PATH = "/connection/websocket";

/** Clients that do not answer the closing handshake are cut after so long. */
const CLOSE_PATIENCE_MS = 1000;
/** After the clients have been sent elsewhere, answers of the API under way have this long. */
const FINISH_MS = 5000;

/** Which server the API is part of: that of the clients, one that only insiders reach, or an application's own. */
export type ApiPlace = "clients" | "internal" | "application";

/** Where this process is one of several that serve clients on one port. */
export interface WorkerPlace {
  /** From 1 on. */
  readonly number: number;
  readonly stores: OwnedElsewhere;
  count(): WorkerCount;
  /** The metrics of all processes, this one's among them. */
  whole(own: MetricSnapshot): Promise<readonly MetricSnapshot[]>;
}

export interface ServerOptions {
  readonly hooks?: Hooks;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Answers what the API does not, such as the page at `/`. Resolves with whether it did. */
  readonly page?: ApiHandler;
  readonly worker?: WorkerPlace;
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
  readonly #worker: WorkerPlace | undefined;
  readonly #observer: GatewayObserver;
  readonly #trustedProxies: TrustedProxies;
  readonly #ingestion: Ingestion;
  readonly #queues: QueueSampler;
  readonly #archivers: readonly Archiver[];
  readonly #listeners: Listener[] = [];
  readonly #detach: (() => void)[] = [];

  private constructor(
    config: Config,
    platform: Platform,
    metrics: Metrics,
    observer: GatewayObserver & ArchiveObserver,
    { hooks = {}, clock, logger, worker }: ServerOptions & { clock: Clock; logger: Logger },
  ) {
    const { jwt } = config.auth;
    this.#config = config;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#worker = worker;
    this.#observer = observer;
    this.#trustedProxies = trustedProxies(config.http.trusted_proxies);
    this.logger = logger;
    this.platform = platform;
    this.#health = new Health(platform.backbones, clock, worker && (() => worker.count()));
    this.gateway = new Gateway({
      limits: {
        ...config.client,
        queue_bytes_total: config.client.queue_bytes_total ?? queueBytesWithin(worker?.count().configured ?? 1),
      },
      insecure: config.auth.insecure,
      version: VERSION,
      name: worker ? `${hostname()}/${worker.number}` : hostname(),
      clock,
      observer,
      hooks,
      namespaces: platform.namespaces,
      publisher: platform.publisher,
      ...(platform.sharedBus && { fleetBus: platform.sharedBus }),
      ...(jwt && { authenticator: jwtAuthenticator(jwt, clock) }),
    });
    this.operations = this.gateway.operations;
    this.#ingestion = new Ingestion({
      namespaces: platform.namespaces,
      publisher: platform.publisher,
      depth: config.client.json_depth,
      refused: (namespace, why) => observer.malformed(namespace, why),
    });
    this.#queues = new QueueSampler({
      clock,
      failed: (namespace, error) => observer.backboneFailed(namespace, "queue_info", error),
    });
    metrics.watch({
      waiting: () => this.gateway.waiting(),
      queues: this.#queues,
    });
    this.#archivers = [...platform.namespaces].flatMap(
      (namespace) => namespace.archive?.archiver(namespace, observer) ?? [],
    );
    this.gateway.start();
  }

  /** @throws ConfigError, BackboneError. */
  static async open(config: Config, options: ServerOptions = {}): Promise<Todoku> {
    const problems = preflight(config);
    if (problems.length > 0) throw new ConfigError(problems);
    const { clock = systemClock, logger = createLogger(config.log) } = options;
    const metrics = new Metrics();
    const observer = logging(metrics, logger);
    const platform = await Platform.open(config, clock, observer, options.worker?.stores);
    try {
      const todoku = new Todoku(config, platform, metrics, observer, { ...options, clock, logger });
      await todoku.gateway.join();
      await todoku.#ingestion.start(platform.backbones.values());
      for (const archiver of todoku.#archivers) archiver.start();
      return todoku;
    } catch (error) {
      await platform.close();
      throw error;
    }
  }

  /** Takes WebSockets from the upgrades of Node's HTTP server. */
  attach(server: Server, path: string = WEBSOCKET_PATH): void {
    const listener = new NodeListener(this.gateway, this.#listenerOptions(path));
    this.#listeners.push(listener);
    this.#detach.push(listener.attach(server));
  }

  /** Takes WebSockets from `Bun.serve`. */
  bunListener(path: string = WEBSOCKET_PATH): BunListener {
    const listener = new BunListener(this.gateway, this.#listenerOptions(path));
    this.#listeners.push(listener);
    return listener;
  }

  #listenerOptions(path: string): ListenerOptions {
    const { client } = this.#config;
    return {
      path,
      allowedOrigins: client.allowed_origins,
      trustedProxies: this.#trustedProxies,
      frameBytes: client.frame_bytes,
      compression: client.compression,
      connections: client.connections,
      unauthenticatedPerAddress: client.unauthenticated_per_address,
      attempts: new RateLimiter(this.#clock, client.rate.connects),
      clock: this.#clock,
    };
  }

  /** The HTTP API, health and metrics, as a request listener that resolves with whether it answered. */
  api(place: ApiPlace = "clients"): ApiHandler {
    const { auth, client } = this.#config;
    return createApi({
      ...this.#reporting(),
      namespaces: this.platform.namespaces,
      publisher: this.platform.publisher,
      operations: this.operations,
      history: { messages: client.history_limit, bytes: 16 * client.queue_bytes },
      keys: new ApiKeys(auth.api_keys),
      insecure: auth.insecure,
      trustedProxies: this.#trustedProxies,
      allowedOrigins: client.allowed_origins,
      bodyBytes: Math.max(4 * client.message_bytes, 16 * 1024 * 1024),
      depth: client.json_depth,
      clock: this.#clock,
      now: () => this.#clock.now(),
      metrics: this.#metricsPage(),
      version: VERSION,
      internal: place === "internal",
      guest: place === "application",
    });
  }

  /** `/health` alone, for the clients' listener when the API has its own. */
  healthApi(): ApiHandler {
    return createHealthApi(this.#reporting());
  }

  /**
   * Sends all clients elsewhere over `ms`, finishing what is under way, and lets go of everything. Who sends clients here and
   * asks `/health` whether it may has all of `ms` to learn that it may not, also when no client is left. `finished` is waited for
   * before the backbones are closed.
   */
  async drain(ms: number = this.#config.drain, finished: () => Promise<void> = async () => {}): Promise<void> {
    this.#health.drain();
    for (const listener of this.#listeners) listener.refuseAll();
    await this.#ingestion.stop();
    const told = this.drainIsHeeded ? new Promise<void>((resolve) => this.#clock.after(ms, resolve)) : undefined;
    await this.gateway.drain(ms);
    await this.#parted();
    await told;
    await finished();
    await this.close();
  }

  /** Somebody asks `/health`, and so is given the time of a drain to notice it. */
  get drainIsHeeded(): boolean {
    return this.#health.heeded;
  }

  /** As `drain`, at once. */
  async close(): Promise<void> {
    for (const detach of this.#detach.splice(0)) detach();
    await this.#ingestion.stop();
    await this.gateway.stop();
    await this.#parted();
    await Promise.all(this.#archivers.map((archiver) => archiver.stop()));
    this.#queues.stop();
    await this.platform.close();
  }

  #metricsPage(): ApiOptions["metrics"] {
    const worker = this.#worker;
    if (!worker) return this.#metrics;
    const text = async (): Promise<string> => textOf(await worker.whole(await this.#metrics.snapshot()));
    return { contentType: this.#metrics.contentType, text };
  }

  /** Of this process alone. */
  snapshot(): Promise<MetricSnapshot> {
    return this.#metrics.snapshot();
  }

  /** Resolves when all clients have answered the closing handshake, or been cut. */
  async #parted(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.closed(CLOSE_PATIENCE_MS)));
  }

  #reporting(): Pick<ApiOptions, "health" | "report"> {
    return {
      health: this.#health,
      report: (where, error) => this.#observer.backboneFailed(undefined, where, error),
    };
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
  /** As `drain`, where others listen on the port as well: this one stops listening first, and nobody is told of it. */
  leave(ms?: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the backbones and listens.
 *
 * @throws ConfigError, BackboneError, and an `Error` that names the key to change when the port cannot be had.
 */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<RunningServer> {
  const todoku = await Todoku.open(config, options);
  const { clock = systemClock, page = async () => false } = options;
  const { http, internal } = config;
  const bun = bunRuntime();
  const servers: ListeningServer[] = [];
  type Place = typeof http | NonNullable<typeof internal>;
  const serve = (key: string, at: Place, handlers: ApiHandler[], clients: boolean): ListeningServer => {
    const listening = { ...at, key, handlers, logger: todoku.logger, shared: options.worker !== undefined };
    const server = bun
      ? new BunServer(bun, { ...listening, ...(clients && { webSockets: todoku.bunListener() }) })
      : new HttpServer(listening);
    if (clients && server instanceof HttpServer) todoku.attach(server.server);
    servers.push(server);
    return server;
  };
  /** Gives what is under way up to `ms`, runs `release`, and cuts the rest. */
  const end = async (ms: number, release: () => Promise<void> = async () => {}): Promise<void> => {
    const ended = Promise.all(servers.map((server) => server.stop()));
    if (ms > 0) await Promise.race([ended, new Promise<void>((resolve) => clock.after(ms, resolve))]);
    await release();
    for (const server of servers) server.cut();
    await ended;
  };
  try {
    const main = serve("http", http, [internal ? todoku.healthApi() : todoku.api(), page], true);
    const side = internal && serve("internal", internal, [todoku.api("internal")], false);
    const url = await main.listen();
    const internalUrl = await side?.listen();
    return {
      todoku,
      url,
      ...(internalUrl !== undefined && { internalUrl }),
      drain: (ms) => todoku.drain(ms, () => end(FINISH_MS)),
      leave: (ms) => {
        for (const server of servers) void server.stop();
        return todoku.drain(ms, () => end(FINISH_MS));
      },
      close: () => end(0, () => todoku.close()),
    };
  } catch (error) {
    await end(0, () => todoku.close());
    throw error;
  }
}
