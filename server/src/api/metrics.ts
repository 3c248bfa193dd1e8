/** The Prometheus metrics, counted from what the gateway and the publisher tell. */
import type { GapReason, TodokuError } from "@todoku/protocol";
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { BackboneError } from "../backbones/contract.ts";
import type { GatewayObserver, JobEvent } from "../gateway/observer.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import type { Published } from "../namespaces/publisher.ts";
import type { ArchiveObserver } from "../storage/archiver.ts";
import type { QueueSample, QueueSampler } from "../queues/sampler.ts";
import { DurationHistogram, type Durations } from "./durations.ts";
import { Tally } from "./tally.ts";

const MOST_GROUPS = 100;

const JOB_STATES = ["ready", "leased", "delayed", "dead"] as const;

/** What one namespace's hot path counts: it only adds. */
interface NamespaceMetrics {
  readonly stored: Tally;
  readonly answered: Durations;
  readonly deliveries: Tally;
  readonly latency: Durations;
}

export interface MetricDescription {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** What waits to be sent, in bytes: to all connections, and to the one for which most waits. */
export interface Waiting {
  readonly total: number;
  readonly largest: number;
}

/** What is asked when the metrics are read, and not before. */
export interface MetricSources {
  waiting(): Waiting;
  readonly queues: QueueSampler;
}

/** The metrics of one process at one moment, as plain data. */
export type MetricSnapshot = readonly object[];

type Aggregator = "sum" | "max";

export class Metrics implements GatewayObserver, ArchiveObserver {
  readonly #registry = new Registry();
  readonly #described: MetricDescription[] = [];
  // Finding a metric by its labels costs as much as a delivery: those of the hot path are found once.
  readonly #byNamespace = new Map<Namespace, NamespaceMetrics>();
  readonly #done = new Map<string, Tally>();
  readonly #tallies: Tally[] = [];
  readonly #connections = this.#gauge("connections", "Open, authenticated connections.");
  readonly #closes = this.#counter("connections_closed_total", "Connections that ended, by close code.", ["code"]);
  readonly #subscriptions = this.#gauge("subscriptions", "Subscriptions.", ["namespace"]);
  readonly #commands = this.#counter("commands_total", "Commands of clients, by method and error code (0: none).", [
    "method",
    "code",
  ]);
  readonly #publishes = this.#counter("publishes_total", "Messages accepted.", ["namespace", "outcome"]);
  readonly #deliveries = this.#counter("deliveries_total", "Publications handed to connections.", ["namespace"]);
  readonly #catchUps = this.#counter(
    "catch_ups_total",
    "Times that the log was read for a reader: at its start, because it was slow, or for what the bus lost.",
    ["namespace", "reason"],
  );
  readonly #drops = this.#counter(
    "drops_total",
    "Publications dropped for slow readers of channels that keep no log.",
    ["namespace"],
  );
  readonly #malformed = this.#counter(
    "malformed_total",
    "Messages of other programs in the broker that cannot be delivered; `?` where they name no namespace.",
    ["namespace"],
  );
  readonly #gaps = this.#counter("gaps_total", "Gaps that readers were told of.", ["namespace", "reason"]);
  readonly #redeliveries = this.#counter(
    "redeliveries_total",
    "Messages sent again because they were not acknowledged.",
    ["namespace"],
  );
  readonly #deadLetters = this.#counter("dead_letters_total", "Messages given up after too many attempts.", [
    "namespace",
  ]);
  readonly #jobs = this.#counter(
    "jobs_total",
    "What became of jobs in the hands of clients: handed_out, done, failed, given_back, dead, or lost (the lease had ended).",
    ["namespace", "group", "event"],
  );
  readonly #queueJobs = this.#gauge(
    "queue_jobs",
    `Jobs of a group by state: ${JOB_STATES.join(", ")}.`,
    ["namespace", "queue", "group", "state"],
    "max",
  );
  readonly #queueOldest = this.#gauge(
    "queue_oldest_age_seconds",
    "Age of the oldest job that the group has not done; 0 if there is none.",
    ["namespace", "queue", "group"],
    "max",
  );
  readonly #queueKept = this.#gauge(
    "queue_kept_jobs",
    "Jobs that are kept because some group has not done them, or because there is no group yet.",
    ["namespace", "queue"],
    "max",
  );
  readonly #queuePaused = this.#gauge(
    "queue_paused",
    "1 while the queue hands out no jobs.",
    ["namespace", "queue"],
    "max",
  );
  readonly #archived = this.#counter("archived_total", "Messages copied into the storage behind the log.", [
    "namespace",
  ]);
  readonly #archiveLag = this.#gauge(
    "archive_lag_seconds",
    "How long something has been waiting to be archived; 0 if nothing is, and in every process but the one that archives.",
    ["namespace"],
    "max",
  );
  readonly #archiveMissed = this.#counter(
    "archive_missed_total",
    "Times that the log had dropped messages before they could be archived.",
    ["namespace"],
  );
  readonly #errors = this.#counter("backbone_errors_total", "Calls to backbones that failed.", ["operation", "reason"]);
  readonly #publishSeconds = this.#histogram("publish_seconds", "From accepting a publish to its answer.");
  readonly #deliverySeconds = this.#histogram(
    "delivery_seconds",
    "From accepting a publish to handing it to the connections of this gateway.",
  );

  readonly #queued = this.#gauge("queued_bytes", "Bytes that wait to be sent, over all connections.");
  readonly #queuedMost = this.#gauge(
    "queued_bytes_max",
    "Bytes that wait for the connection with the longest queue.",
    [],
    "max",
  );
  readonly #workers = this.#gauge("workers", "Processes that serve clients.", [], "max");
  readonly #restarts = this.#counter(
    "restarts_total",
    "Processes that died and were started again, under `workers`: those that serve clients, and the one that owns the stores.",
    ["process"],
  );
  readonly #groups = new GroupLabels();
  #sources: MetricSources | undefined;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.#workers.set(1);
  }

  watch(sources: MetricSources): void {
    this.#sources = sources;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text format. */
  async text(): Promise<string> {
    await this.#ask();
    return this.#registry.metrics();
  }

  /** The same as data, to be put together with those of other processes. */
  async snapshot(): Promise<MetricSnapshot> {
    await this.#ask();
    return this.#registry.getMetricsAsJSON();
  }

  /** How many processes serve clients, as their supervisor knows it. */
  workers(running: number): void {
    this.#workers.set(running);
  }

  restarted(process: "worker" | "store"): void {
    this.#restarts.inc({ process });
  }

  async #ask(): Promise<void> {
    for (const tally of this.#tallies) tally.settle();
    if (!this.#sources) return;
    this.#showQueues(await this.#sources.queues.sample());
    const { total, largest } = this.#sources.waiting();
    this.#queued.set(total);
    this.#queuedMost.set(largest);
  }

  /** In one turn, so that nobody reads half of it. Queues that are not followed any more vanish. */
  #showQueues(samples: readonly QueueSample[]): void {
    for (const gauge of [this.#queueJobs, this.#queueKept, this.#queueOldest, this.#queuePaused]) gauge.reset();
    for (const { namespace, queue, info, time } of samples) {
      const labels = { namespace: namespace.name, queue };
      this.#queueKept.set(labels, info.jobs);
      this.#queuePaused.set(labels, info.paused ? 1 : 0);
      const oldest = new Map<string, number>();
      for (const { group: name, oldestTime, ...counts } of info.groups) {
        const group = this.#groups.of(namespace.name, name);
        for (const state of JOB_STATES) this.#queueJobs.inc({ ...labels, group, state }, counts[state]);
        const age = oldestTime === undefined ? 0 : Math.max(0, time - oldestTime) / 1000;
        oldest.set(group, Math.max(age, oldest.get(group) ?? 0));
      }
      for (const [group, age] of oldest) this.#queueOldest.set({ ...labels, group }, age);
    }
  }

  /** Names, kinds and help of the metrics of this program, for the docs. */
  describe(): readonly MetricDescription[] {
    return this.#described;
  }

  published(namespace: Namespace, { duplicate }: Published, ms: number): void {
    const { stored, answered } = this.#of(namespace);
    if (duplicate === true) this.#publishes.inc({ namespace: namespace.name, outcome: "duplicate" });
    else stored.add();
    answered.observe(ms);
  }

  failed(namespace: Namespace, error: TodokuError): void {
    this.#publishes.inc({ namespace: namespace.name, outcome: error.reason });
    if (error.cause instanceof BackboneError) this.backboneFailed(namespace, "publish", error);
  }

  connected(): void {
    this.#connections.inc();
  }

  disconnected(code: number): void {
    this.#connections.dec();
    this.#closes.inc({ code });
  }

  subscribed({ name }: Namespace): void {
    this.#subscriptions.inc({ namespace: name });
  }

  unsubscribed({ name }: Namespace): void {
    this.#subscriptions.dec({ namespace: name });
  }

  command(method: string, error: number | undefined): void {
    if (error !== undefined) return this.#commands.inc({ method, code: error });
    let done = this.#done.get(method);
    if (!done) this.#done.set(method, (done = this.#tally(this.#commands, { method, code: 0 })));
    done.add();
  }

  delivered(namespace: Namespace, receivers: number, ms: number): void {
    const { deliveries, latency } = this.#of(namespace);
    deliveries.add(receivers);
    latency.observe(Math.max(0, ms));
  }

  caughtUp({ name }: Namespace, reason: "start" | "slow" | "repair"): void {
    this.#catchUps.inc({ namespace: name, reason });
  }

  dropped({ name }: Namespace, count: number): void {
    this.#drops.inc({ namespace: name }, count);
  }

  malformed(namespace: Namespace | undefined): void {
    this.#malformed.inc({ namespace: namespace?.name ?? "?" });
  }

  gap({ name }: Namespace, reason: GapReason): void {
    this.#gaps.inc({ namespace: name, reason });
  }

  redelivered({ name }: Namespace): void {
    this.#redeliveries.inc({ namespace: name });
  }

  deadLettered({ name }: Namespace): void {
    this.#deadLetters.inc({ namespace: name });
  }

  queueUsed(namespace: Namespace, queue: string): void {
    this.#sources?.queues.used(namespace, queue);
  }

  job({ name }: Namespace, group: string, event: JobEvent): void {
    this.#jobs.inc({ namespace: name, group: this.#groups.of(name, group), event });
  }

  archived({ name }: Namespace, messages: number): void {
    this.#archived.inc({ namespace: name }, messages);
  }

  archiveLag({ name }: Namespace, ms: number): void {
    this.#archiveLag.set({ namespace: name }, ms / 1000);
  }

  archiveMissed({ name }: Namespace): void {
    this.#archiveMissed.inc({ namespace: name });
  }

  archiveLate(): void {}

  backboneFailed(_namespace: Namespace | undefined, operation: string, error: unknown): void {
    const cause = error instanceof Error && error.cause instanceof BackboneError ? error.cause : error;
    this.#errors.inc({ operation, reason: cause instanceof BackboneError ? cause.reason : "other" });
  }

  #of(namespace: Namespace): NamespaceMetrics {
    let found = this.#byNamespace.get(namespace);
    if (!found) {
      const labels = { namespace: namespace.name };
      found = {
        stored: this.#tally(this.#publishes, { ...labels, outcome: "stored" }),
        answered: this.#publishSeconds.of(namespace.name),
        deliveries: this.#tally(this.#deliveries, labels),
        latency: this.#deliverySeconds.of(namespace.name),
      };
      this.#byNamespace.set(namespace, found);
    }
    return found;
  }

  #tally(counter: Counter, labels: Record<string, string | number>): Tally {
    const tally = new Tally(counter.labels(labels));
    this.#tallies.push(tally);
    return tally;
  }

  /** `aggregator`: what several processes' values make together. */
  #gauge(name: string, help: string, labelNames: string[] = [], aggregator: Aggregator = "sum"): Gauge {
    return new Gauge({
      name: this.#describeOne(name, help, labelNames),
      help,
      labelNames,
      aggregator,
      registers: [this.#registry],
    });
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({
      name: this.#describeOne(name, help, labelNames),
      help,
      labelNames,
      registers: [this.#registry],
    });
  }

  #histogram(name: string, help: string): DurationHistogram {
    return new DurationHistogram(this.#describeOne(name, help, ["namespace"]), help, this.#registry);
  }

  #describeOne(name: string, help: string, labels: readonly string[]): string {
    const full = `todoku_${name}`;
    this.#described.push({ name: full, help, labels });
    return full;
  }
}

/** One snapshot of several processes': counters, histograms and most gauges are summed, others are the largest or the average. */
export function together(snapshots: readonly MetricSnapshot[]): Promise<MetricSnapshot> {
  return AggregatorRegistry.aggregate([...snapshots]).getMetricsAsJSON();
}

/** As `Metrics.text`, of several processes together. */
export function textOf(snapshots: readonly MetricSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([...snapshots]).metrics();
}

/** Clients choose the names of groups: those after the first hundred of a namespace are counted together. */
class GroupLabels {
  readonly #known = new Map<string, Set<string>>();

  of(namespace: string, group: string): string {
    const known = this.#known.get(namespace) ?? new Set<string>();
    this.#known.set(namespace, known);
    if (known.size < MOST_GROUPS) known.add(group);
    return known.has(group) ? group : "(other)";
  }
}
