/**
 * Starts the processes of `todoku serve --workers`, starts again what dies, and passes on what is asked of all. It holds
 * nothing itself: neither clients nor a store. When it ends, however it ends, its processes end.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { WorkerCount } from "../api/health.ts";
import { Metrics, together, type MetricSnapshot } from "../api/metrics.ts";
import { BACKBONE_TYPES } from "../backbones/registry.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import type { Logger } from "../logger.ts";
import { usesBackbone, type OwnedElsewhere } from "../platform.ts";
import { ForkedProcess, type Ready } from "./forked-process.ts";
import type { Order, Report } from "./messages.ts";
import { Restarts } from "./restarts.ts";
import { portsMustBeFree, withPorts } from "./shared-ports.ts";

/** A service manager signals all processes at once: whoever else is told to end alone is told so long before the supervisor. */
const ALONE_MS = 250;
const MEASURE_MS = 1000;
const PULSE_MS = 10_000;
const HUNG_MS = 30_000;
/** Beyond the time of the drain, what is under way has so long. */
const DRAIN_GRACE_MS = 20_000;
const CLOSE_MS = 10_000;

export interface SupervisorOptions {
  readonly config: Config;
  /** How many processes serve clients. */
  readonly workers: number;
  /** With the page at `/`. */
  readonly page: boolean;
  readonly logger: Logger;
}

/** A place that a process has, and another after it. */
interface Place {
  readonly kind: "worker" | "store";
  /** From 1 on; of a worker. */
  readonly number: number;
  readonly restarts: Restarts;
  process?: ForkedProcess;
  /** Why it could not be started the last time. */
  problem?: string;
}

export class Supervisor {
  /** Resolves with the reason when it gives up: a process dies again and again before it comes to work. */
  readonly failed: Promise<Error>;
  readonly #logger: Logger;
  readonly #workerCount: number;
  readonly #page: boolean;
  readonly #stores: OwnedElsewhere;
  readonly #folder: string | undefined;
  readonly #places: Place[] = [];
  readonly #living = new Set<ForkedProcess>();
  readonly #metrics = new Metrics();
  /** What processes that are gone have counted: a sum that fell would be taken for a restart of the whole. */
  #departed: Promise<MetricSnapshot> = Promise.resolve([]);
  readonly #clients = new Map<ForkedProcess, number>();
  #config: Config;
  #ready: Ready = { url: "" };
  #giveUp: (error: Error) => void = () => {};
  #ending = false;
  #pulse: NodeJS.Timeout | undefined;
  #reloading: Promise<void> = Promise.resolve();

  private constructor({ config, workers, page, logger }: SupervisorOptions, folder: string | undefined) {
    this.#config = config;
    this.#workerCount = workers;
    this.#page = page;
    this.#logger = logger;
    this.#folder = folder;
    this.#stores = folder === undefined ? {} : socketsIn(folder, config);
    this.failed = new Promise((resolve) => (this.#giveUp = resolve));
  }

  /**
   * Resolves when all processes are ready.
   *
   * @throws ConfigError with what the first process that could not start said of it; the others are not started, or ended.
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const { config } = options;
    await portsMustBeFree(config);
    // A folder that only this user can enter: whoever reaches the socket reaches the store.
    const folder = ownedStores(config).length > 0 ? await mkdtemp(path.join(tmpdir(), "todoku-workers-")) : undefined;
    const supervisor = new Supervisor(options, folder);
    try {
      await supervisor.#startAll();
      return supervisor;
    } catch (error) {
      await supervisor.#end();
      throw error;
    }
  }

  get url(): string {
    return this.#ready.url;
  }

  get internalUrl(): string | undefined {
    return this.#ready.internalUrl;
  }

  /** The backbones that a process of their own has. */
  get stores(): readonly string[] {
    return Object.keys(this.#stores);
  }

  /** Connections that the processes last spoke of when they were draining. */
  get clientsLeft(): number {
    return [...this.#clients.values()].reduce((sum, count) => sum + count, 0);
  }

  /** All workers send their clients elsewhere, then the stores are closed. What takes too long is ended. */
  async drain(): Promise<void> {
    this.#ending = true;
    for (const { process, kind } of this.#places) {
      if (kind !== "worker" || !process) continue;
      if (process.isReady) process.say({ order: "drain" });
      else process.kill();
    }
    await this.#gone("worker", this.#config.drain + DRAIN_GRACE_MS);
    await this.#end();
  }

  /**
   * Takes up a configuration: one worker after the other is started with it, and the one in whose place it is leaves. When one
   * cannot start, the rest stays as it is.
   *
   * @throws ConfigError for what cannot change without a restart, and with what a process said that could not start.
   */
  reload(config: Config): Promise<void> {
    this.#reloading = this.#reloading.catch(() => {}).then(() => this.#reload(config));
    return this.#reloading;
  }

  async #reload(config: Config): Promise<void> {
    const problems = [
      ...changesIn(this.#config, config).map((key) => `${key} cannot change while todoku runs. Restart it for that`),
      // Each worker would have a store of its own.
      ...ownedStores(config)
        .filter((name) => this.#stores[name] === undefined)
        .map((name) => `backbones.${name} was not used when todoku was started. Restart it for that`),
    ];
    if (problems.length > 0) throw new ConfigError(problems);
    const before = this.#config;
    this.#config = config;
    for (const place of this.#places) {
      if (place.kind !== "worker" || this.#ending) continue;
      try {
        await this.#replace(place);
      } catch (error) {
        this.#config = before;
        throw error;
      }
    }
  }

  async #startAll(): Promise<void> {
    if (this.#folder !== undefined) await this.#startIn(this.#place("store", 0)).ready;
    // Alone: it says what is wrong once for all, and which port it was given.
    this.#ready = await this.#startIn(this.#place("worker", 1)).ready;
    const others = Array.from({ length: this.#workerCount - 1 }, (_, i) => this.#place("worker", i + 2));
    this.#tellCount();
    await Promise.all(others.map((place) => this.#startIn(place).ready.then(() => this.#tellCount())));
    for (const place of this.#places) this.#watch(place);
    this.#pulse = setInterval(() => this.#feelPulse(), PULSE_MS);
  }

  #place(kind: Place["kind"], number: number): Place {
    const place = { kind, number, restarts: new Restarts() };
    this.#places.push(place);
    return place;
  }

  #startIn(place: Place): ForkedProcess {
    const process = this.#fork(place);
    place.process = process;
    return process;
  }

  #fork(place: Place): ForkedProcess {
    const process = new ForkedProcess(this.#orderFor(place), (report) => this.#hear(place, process, report));
    this.#living.add(process);
    void process.ended.then(() => {
      this.#living.delete(process);
      this.#clients.delete(process);
      this.#remember(process);
    });
    return process;
  }

  #orderFor({ kind, number }: Place): Order {
    const stores = this.#stores;
    if (kind === "store") return { order: "own", config: this.#config, stores };
    const config = withPorts(this.#config, this.#ready);
    return { order: "serve", worker: number, config, stores, page: this.#page, workers: this.#count };
  }

  /**
   * Who hangs is as good as dead, and worse: the system goes on giving it connections. Not so the store's process, which may wait
   * for a slow disk.
   */
  #feelPulse(): void {
    for (const { kind, number, process } of this.#places) {
      if (kind !== "worker" || !process?.isReady || this.#ending) continue;
      void process.measure(PULSE_MS);
      if (process.silentMs < HUNG_MS) continue;
      this.#logger.error({ process: kind, worker: number }, "a process gives no sign of life; it is killed");
      process.kill();
    }
  }

  /** Starts the place's process again when it dies. */
  #watch(place: Place): void {
    const { process } = place;
    if (!process) return;
    void process.ended.then(({ code, signal }) => {
      if (place.process !== process || this.#ending) return;
      this.#tellCount();
      const lastedMs = performance.now() - process.startedAt;
      const delayMs = place.restarts.after({ lastedMs, ready: process.isReady });
      if (delayMs === undefined) {
        const who = place.kind === "worker" ? `worker ${place.number}` : "the process that owns the stores";
        this.#giveUp(new Error(`${who} died, and cannot be started again: ${place.problem ?? "it dies at once"}`));
        return;
      }
      this.#logger.error(
        { ...describe(place), code, signal, again_in_ms: delayMs },
        "a process died; it is started again",
      );
      setTimeout(() => this.#again(place, process), delayMs);
    });
  }

  /** `died` may have been replaced meanwhile. */
  #again(place: Place, died: ForkedProcess): void {
    if (this.#ending || place.process !== died) return;
    this.#metrics.restarted(place.kind);
    const process = this.#startIn(place);
    this.#watch(place);
    process.ready.then(
      () => this.#tellCount(),
      (error: unknown) => {
        place.problem = error instanceof Error ? error.message : String(error);
        this.#logger.error({ ...describe(place), error }, "a process could not start");
      },
    );
  }

  /** The new one is there before the old one leaves. Resolves when that has left. */
  async #replace(place: Place): Promise<void> {
    const process = this.#fork(place);
    await process.ready;
    if (this.#ending) return process.kill();
    const old = place.process;
    place.process = process;
    this.#watch(place);
    this.#tellCount();
    old?.say({ order: "leave" });
    if (old) await endedWithin(old, this.#config.drain + DRAIN_GRACE_MS);
  }

  #hear(place: Place, process: ForkedProcess, report: Report): void {
    switch (report.report) {
      case "asked":
        void this.#answer(process, report.id);
        break;
      case "draining":
        this.#clients.set(process, report.clients);
        break;
      case "told to end":
        if (place.kind === "worker") setTimeout(() => this.#endAlone(place, process), ALONE_MS);
        break;
      case "ready":
      case "failed":
      case "measured":
        break;
    }
  }

  /** Somebody told one process to end, and not all of them. */
  #endAlone(place: Place, process: ForkedProcess): void {
    if (this.#ending || place.process !== process) return;
    this.#replace(place).catch((error: unknown) =>
      this.#logger.error({ ...describe(place), error }, "a process was told to end, and no other could start"),
    );
  }

  async #answer(asker: ForkedProcess, id: number): Promise<void> {
    this.#metrics.workers(this.#running);
    const others = [...this.#living].filter((process) => process !== asker);
    const snapshots = await Promise.all([
      ...others.map((process) => process.measure(MEASURE_MS)),
      this.#departed,
      this.#metrics.snapshot(),
    ]);
    asker.say({ order: "hear", id, snapshots: snapshots.filter((one) => one !== undefined) });
  }

  #remember({ snapshot }: ForkedProcess): void {
    if (!snapshot) return;
    const counted = snapshot.filter((metric) => "type" in metric && metric.type !== "gauge");
    this.#departed = this.#departed.then((before) => together([before, counted]));
  }

  get #running(): number {
    return this.#places.filter(({ kind, process }) => {
      return kind === "worker" && process?.isReady && this.#living.has(process);
    }).length;
  }

  get #count(): WorkerCount {
    return { running: this.#running, configured: this.#workerCount };
  }

  #tellCount(): void {
    for (const process of this.#living) process.say({ order: "count", workers: this.#count });
  }

  /** Ends what is left: workers at once, then the stores. */
  async #end(): Promise<void> {
    this.#ending = true;
    clearInterval(this.#pulse);
    await this.#gone("worker", 0);
    for (const { process, kind } of this.#places) if (kind === "store") process?.say({ order: "drain" });
    await this.#gone("store", CLOSE_MS);
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  async #gone(kind: Place["kind"], ms: number): Promise<void> {
    const store = this.#places.find((place) => place.kind === "store")?.process;
    const processes = [...this.#living].filter((process) => (process === store) === (kind === "store"));
    await Promise.all(processes.map((process) => endedWithin(process, ms)));
  }
}

/** Waits for its end, and brings it about after `ms`. */
async function endedWithin(process: ForkedProcess, ms: number): Promise<void> {
  const late = setTimeout(() => process.kill(), ms);
  await process.ended;
  clearTimeout(late);
}

function describe({ kind, number }: Place): { readonly process: string; readonly worker?: number } {
  return kind === "worker" ? { process: kind, worker: number } : { process: kind };
}

/** What differs and cannot: where the workers listen, how many they are, and what they stand on. */
function changesIn(before: Config, after: Config): readonly string[] {
  const fixed = ({ backbones, workers, http, internal }: Config): Readonly<Record<string, unknown>> => ({
    backbones,
    workers,
    "http.host": http.host,
    "http.port": http.port,
    "internal.host": internal?.host,
    "internal.port": internal?.port,
  });
  const now = fixed(after);
  return Object.entries(fixed(before)).flatMap(([key, value]) =>
    JSON.stringify(value) === JSON.stringify(now[key]) ? [] : [key],
  );
}

/** The backbones whose stores belong to one process. */
function ownedStores(config: Config): readonly string[] {
  return Object.entries(config.backbones).flatMap(([name, { type }]) =>
    usesBackbone(config, name) && !BACKBONE_TYPES[type].capabilities.shared ? [name] : [],
  );
}

function socketsIn(folder: string, config: Config): OwnedElsewhere {
  return Object.fromEntries(ownedStores(config).map((name) => [name, path.join(folder, `${name}.sock`)]));
}
