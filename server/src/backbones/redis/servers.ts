/** The Redis servers behind a backbone, whatever their topology: who holds a key, and connections to each. */
import { readFileSync } from "node:fs";
import type { Redis, RedisOptions } from "ioredis";
import { redact } from "../../redact.ts";
import { BackboneError } from "../contract.ts";
import { asBackboneError } from "./failure.ts";
import { LastingRedis } from "./lasting-redis.ts";
import type { RedisConnection } from "./settings.ts";
import { slotOf } from "./slot.ts";
import { withinTime } from "./within-time.ts";

/** The client's own type says "may be undefined" where its constructor does not. */
type Options = Omit<RedisOptions, "replyMapping">;

/** A server that takes writes. */
export interface Node {
  /** `host:port`, or the master's name behind Sentinels. */
  readonly name: string;
  readonly redis: Redis;
}

/** No call hangs longer. */
const COMMAND_MS = 4000;
const CONNECT_MS = 3000;
/** For the Sentinels and the master together. */
const OPEN_MS = 2 * CONNECT_MS;
const REFRESH_MS = 1000;

export class RedisServers {
  readonly #name: string;
  readonly #settings: RedisConnection;
  readonly #nodes = new Map<string, Node>();
  /** Slot → node's name; one entry without a Cluster. */
  #slots: string[] = [];
  #seeds: readonly string[] = [];
  #refreshing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #lastError: Error | undefined;
  readonly #onChange = new Set<() => void>();

  /** `name` is the backbone's configured name. */
  constructor(name: string, settings: RedisConnection) {
    this.#name = name;
    this.#settings = settings;
  }

  get isCluster(): boolean {
    return this.#settings.cluster !== undefined;
  }

  /** Whether a replica takes a master's place by itself. */
  get failsOver(): boolean {
    return this.isCluster || this.#settings.sentinels !== undefined;
  }

  /** Connects. @throws BackboneError that says where and what to look at. */
  async open(): Promise<void> {
    const { cluster } = this.#settings;
    this.#closed = false;
    try {
      if (!cluster) {
        const node = this.#add("master", this.#options());
        this.#slots = [node.name];
        // Behind Sentinels the client would go on asking for ever.
        await withinTime(node.redis.connect(), OPEN_MS);
        return;
      }
      this.#seeds = cluster.map((url) => addressOf(url));
      await this.refresh();
      if (this.#slots.length === 0) throw new Error("no node tells who holds what (CLUSTER SLOTS)");
      await Promise.all(this.masters().map(({ redis }) => ready(redis)));
      this.#timer = setInterval(() => void this.refresh().catch(() => {}), REFRESH_MS);
      this.#timer.unref();
    } catch (error) {
      this.close();
      throw this.#cannotConnect(error);
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const { redis } of this.#nodes.values()) redis.disconnect();
    this.#nodes.clear();
    this.#slots = [];
  }

  /** The servers that hold slots now. */
  masters(): readonly Node[] {
    const names = new Set(this.#slots);
    return [...names].flatMap((name) => this.#nodes.get(name) ?? []);
  }

  /** @throws BackboneError when nobody is known to hold the key. */
  nodeOf(key: string): Node {
    const name = this.#slots[this.isCluster ? slotOf(key) : 0];
    const node = name === undefined ? undefined : this.#nodes.get(name);
    if (!node) throw new BackboneError("unavailable", `[${this.#name}] no Redis node is known to hold ${key}`);
    return node;
  }

  /** A connection of its own to a node, not connected yet. `purpose` is told in `CLIENT LIST`. */
  connectionTo(name: string, purpose: "sub" | "confirm" | "ingest"): Redis {
    return new LastingRedis({
      ...(this.isCluster ? this.#optionsOf(name) : this.#options()),
      connectionName: `${this.#settings.name}-${purpose}`,
    });
  }

  /** Calls back after the nodes or what they hold have changed; the returned function stops that. */
  onChange(callback: () => void): () => void {
    this.#onChange.add(callback);
    return () => this.#onChange.delete(callback);
  }

  /** Looks again who holds what. Several callers at once share one look. */
  refresh(): Promise<void> {
    if (!this.isCluster) return Promise.resolve();
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const known = [...this.#nodes.keys()];
    let failure: unknown;
    // The first that answers is believed: a node that is cut off from the majority says CLUSTERDOWN to writes anyway.
    for (const name of new Set([...known, ...this.#seeds])) {
      if (this.#closed) return;
      try {
        const { redis } = this.#nodes.get(name) ?? this.#add(name, this.#optionsOf(name));
        if (redis.status === "wait") await redis.connect();
        if (redis.status !== "ready") continue;
        this.#adopt(await withinTime(redis.call("CLUSTER", "SLOTS") as Promise<SlotRange[]>, REFRESH_MS), name);
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw failure ?? new Error("no node of the Cluster answers");
  }

  /** `answers` is the node that said so: an empty host in its answer is its own. */
  #adopt(ranges: readonly SlotRange[], answers: string): void {
    const slots: string[] = [];
    const host = answers.slice(0, answers.lastIndexOf(":"));
    for (const [from, to, [address, port]] of ranges) {
      const name = `${address || host}:${port}`;
      if (!this.#nodes.has(name)) {
        // Connects in the background; until then calls to it fail as unavailable.
        this.#add(name, this.#optionsOf(name))
          .redis.connect()
          .catch(() => {});
      }
      for (let slot = from; slot <= to; slot++) slots[slot] = name;
    }
    const changed = slots.some((name, slot) => this.#slots[slot] !== name);
    this.#slots = slots;
    this.#forgetOthers(new Set(slots));
    if (changed) for (const callback of this.#onChange) callback();
  }

  /** Nodes that hold nothing any more, unless they are the ones to ask. */
  #forgetOthers(holding: ReadonlySet<string>): void {
    for (const [name, { redis }] of this.#nodes) {
      if (holding.has(name) || this.#seeds.includes(name)) continue;
      redis.disconnect();
      this.#nodes.delete(name);
    }
  }

  #add(name: string, options: Options): Node {
    const redis = new LastingRedis(options);
    // Failures come back from the calls, but not why a connection could not be made.
    redis.on("error", (error) => (this.#lastError = error));
    const node = { name, redis };
    this.#nodes.set(name, node);
    return node;
  }

  #optionsOf(name: string): Options {
    const colon = name.lastIndexOf(":");
    return { ...this.#options(), host: name.slice(0, colon), port: Number(name.slice(colon + 1)), db: 0 };
  }

  #options(): Options {
    const { url, sentinels, master, cluster, username, password, tls, name } = this.#settings;
    const [first = ""] = cluster ?? sentinels ?? [url ?? ""];
    const { protocol, hostname, port, pathname } = new URL(first);
    const inUrl = loginIn(first);
    // The login in a Sentinel's URL is for the Sentinels, which have users of their own.
    const login = sentinels ? NO_LOGIN : inUrl;
    const secure = tls ?? (protocol === "rediss:" ? {} : undefined);
    return {
      lazyConnect: true,
      // A command is sent once, now, or not at all: whether to repeat it is for the platform to decide.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
      commandTimeout: COMMAND_MS,
      connectTimeout: CONNECT_MS,
      socketTimeout: COMMAND_MS,
      keepAlive: 5000,
      retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 1000),
      connectionName: name,
      disableClientInfo: true,
      username: username ?? login.username,
      password: password ?? login.password,
      ...(secure && { tls: tlsOptions(secure) }),
      ...(sentinels
        ? {
            sentinels: sentinels.map((sentinel) => hostAndPort(sentinel, 26_379)),
            name: master ?? "",
            sentinelUsername: inUrl.username,
            sentinelPassword: inUrl.password,
            sentinelCommandTimeout: CONNECT_MS,
            failoverDetector: true,
            sentinelRetryStrategy: (times: number) => Math.min(100 * times, 1000),
            ...(secure && { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(secure) }),
          }
        : { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 6379), db: Number(pathname.slice(1) || 0) }),
    };
  }

  #cannotConnect(failure: unknown): BackboneError {
    // The client says why in an event of its own.
    const vague = failure instanceof Error && /^(Connection is closed|no answer within)/.test(failure.message);
    const error = vague ? (this.#lastError ?? failure) : failure;
    const { url, sentinels, master, cluster } = this.#settings;
    const key = cluster ? "cluster" : sentinels ? "sentinels" : "url";
    const where = redact((cluster ?? sentinels ?? [url ?? ""]).join(", "));
    const why = asBackboneError(this.#name, error, "read");
    const reason = why.reason === "invalid" ? "invalid" : "unavailable";
    const said = error instanceof Error ? error.message : String(error);
    return new BackboneError(
      reason,
      `[${this.#name}] cannot connect to ${where} (${said}). Is Redis running, and may this user log in?${
        sentinels ? ` Do the Sentinels know a master called ${master}?` : ""
      } Set backbones.${this.#name}.${key}`,
      { cause: error },
    );
  }
}

type SlotRange = [from: number, to: number, master: [host: string, port: number], ...replicas: unknown[]];

function addressOf(url: string): string {
  const { host, port } = hostAndPort(url, 6379);
  return `${host}:${port}`;
}

interface Login {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

const NO_LOGIN: Login = { username: undefined, password: undefined };

function loginIn(url: string): Login {
  const { username, password } = new URL(url);
  return {
    username: decodeURIComponent(username) || undefined,
    password: decodeURIComponent(password) || undefined,
  };
}

function hostAndPort(url: string, standard: number): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || standard) };
}

function tlsOptions({
  ca,
  cert,
  key,
  server_name,
}: NonNullable<RedisConnection["tls"]>): NonNullable<RedisOptions["tls"]> {
  return {
    ...(ca !== undefined && { ca: readFileSync(ca) }),
    ...(cert !== undefined && { cert: readFileSync(cert) }),
    ...(key !== undefined && { key: readFileSync(key) }),
    ...(server_name !== undefined && { servername: server_name }),
  };
}

function ready(redis: Redis): Promise<void> {
  if (redis.status === "ready") return Promise.resolve();
  const connected = new Promise<void>((resolve, reject) => {
    redis.once("ready", () => resolve());
    redis.once("end", () => reject(new Error("the connection was closed")));
  });
  return withinTime(connected, CONNECT_MS);
}
