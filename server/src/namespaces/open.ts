/** Puts the namespaces together from the configuration, and refuses every promise that cannot be kept. */
import type { Backbone, Retention } from "../backbones/contract.ts";
import type { Config, NamespaceConfig } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { Archive, type ArchivePlace } from "../storage/archive.ts";
import { Namespaces, type Namespace } from "./namespace.ts";
import { PromiseCheck, type ChannelBackbones, type QueueBackbones, type QueueRules } from "./promise-check.ts";

const DAY_MS = 86_400_000;
const DEFAULT_RETENTION = { ageMs: 7 * DAY_MS, messages: 10_000 };
const DEFAULT_DEDUPE_MS = 600_000;

/**
 * @param backbones By their configured names; they need not be open yet.
 * @param storages By their configured names; one that is not there is checked, and nothing is archived in it.
 * @throws ConfigError that lists every impossible promise, each with its namespace, its backbone, and what could keep it.
 */
export function openNamespaces(
  config: Config,
  backbones: ReadonlyMap<string, Backbone>,
  storages: ReadonlyMap<string, ArchivePlace> = new Map(),
): Namespaces {
  const problems: string[] = [];
  const messageBytes = config.client.message_bytes;
  const namespaces = Object.entries(config.namespaces).flatMap(([name, rules]) => {
    const check = new PromiseCheck(name, rules, config, backbones);
    const about = { name, rules, messageBytes };
    const namespace = rules.queue
      ? withQueues(about, rules.queue, check.queues(rules.queue))
      : withChannels(about, check.channels(), storages);
    problems.push(...check.problems);
    return namespace ?? [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return new Namespaces(namespaces);
}

type About = Pick<Namespace, "name" | "rules" | "messageBytes">;

/** Undefined where a backbone is missing. */
function withChannels(
  about: About,
  { keeps, bus, log, cursors }: ChannelBackbones,
  storages: ReadonlyMap<string, ArchivePlace>,
): Namespace | undefined {
  const { delivery, dedupe, storage, redelivery } = about.rules;
  if (!bus?.bus || (keeps && (!log || !cursors))) return undefined;
  const place = storage === undefined ? undefined : storages.get(storage);
  const archive = log?.log && place && new Archive(about.name, log.log, bus.bus, place);
  return {
    ...about,
    delivery,
    bus: bus.bus,
    ...(log?.log && { log: archive?.log ?? log.log }),
    ...(archive && { archive }),
    ...(cursors?.cursors && { cursors: cursors.cursors }),
    announces: log === bus && bus.capabilities.announces,
    once: bus.capabilities.once === true,
    retention: retentionOf(about.rules, log),
    dedupeMs: log ? (dedupe ?? defaultDedupeMs(log)) : 0,
    redelivery: {
      maxAttempts: redelivery.max_attempts,
      backoff: redelivery.backoff,
      ...(redelivery.dead_letters !== undefined && { deadLetters: redelivery.dead_letters }),
    },
  };
}

/** Undefined where a backbone is missing. */
function withQueues(
  about: About,
  { lease, max_attempts, backoff, dead_letters, ttl, deliver_at, in_flight, metrics }: QueueRules,
  { bus, queue: backbone }: QueueBackbones,
): Namespace | undefined {
  if (!bus?.bus || !backbone?.queue) return undefined;
  const { delivery, dedupe } = about.rules;
  const { capabilities } = backbone;
  const redelivery = { maxAttempts: max_attempts, backoff };
  return {
    ...about,
    delivery,
    bus: bus.bus,
    announces: false,
    once: bus.capabilities.once === true,
    retention: {},
    dedupeMs: dedupe ?? defaultDedupeMs(backbone),
    redelivery,
    queue: {
      jobs: backbone.queue,
      backbone,
      leaseMs: lease,
      redelivery: { ...redelivery, deadLetters: dead_letters },
      ...(ttl !== undefined && { ttlMs: ttl }),
      deliverAt: deliver_at ?? capabilities.queue?.deliverAt ?? false,
      ttl: capabilities.queue?.ttl ?? false,
      inFlight: in_flight,
      sampled: metrics,
    },
  };
}

function defaultDedupeMs({ capabilities }: Backbone): number {
  return Math.min(DEFAULT_DEDUPE_MS, capabilities.dedupeWindowMs);
}

/** What was asked for, else as much of the default as the backbone can limit. */
function retentionOf({ retention }: NamespaceConfig, log: Backbone | undefined): Retention {
  if (!retention) {
    const { ageMs, messages } = DEFAULT_RETENTION;
    const honoured = log?.capabilities.retention ?? [];
    return { ...(honoured.includes("ageMs") && { ageMs }), ...(honoured.includes("messages") && { messages }) };
  }
  const { age, messages, bytes } = retention;
  return {
    ...(age !== undefined && { ageMs: age }),
    ...(messages !== undefined && { messages }),
    ...(bytes !== undefined && { bytes }),
  };
}
