/** The topics of the backbone: found, made where they are missing, and checked before anything is promised of them. */
import { Admin, ConfigResourceTypes } from "@platformatic/kafka";
import type { KafkaCluster, Topic } from "./cluster.ts";
import { KAFKA_MESSAGE_BYTES } from "./capabilities.ts";
import { asBackboneError, invalid } from "./failure.ts";
import { formatDuration } from "../../units.ts";
import type { KafkaSettings } from "./settings.ts";

/** A message with its headers. */
const RECORD_BYTES = KAFKA_MESSAGE_BYTES + 64 * 1024;
const PAUSE_MS = 50;
/** A topic that was made is known to all brokers shortly after. */
const KNOWN_MS = 10_000;
const EXISTS = 36;

export interface TopicWish {
  readonly name: string;
  /** Of topics that are made. */
  readonly configs: Readonly<Record<string, string>>;
  /** What is wrong with the settings of a topic that is there; each begins with the topic's name. */
  readonly flaws: (configs: ReadonlyMap<string, string>, topic: Topic) => readonly Flaw[];
}

export interface Flaw {
  readonly words: string;
  /** It can lose what was acknowledged, or never deliver it. Else it is only told. */
  readonly grave: boolean;
}

export class Topics {
  readonly #cluster: KafkaCluster;
  readonly #settings: KafkaSettings;
  readonly #found = new Map<string, Promise<Topic>>();
  #admin: Admin | undefined;

  constructor(cluster: KafkaCluster, settings: KafkaSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
  }

  async close(): Promise<void> {
    const admin = this.#admin;
    this.#admin = undefined;
    this.#found.clear();
    await admin?.close().catch(() => {});
  }

  /** The topic, made if it is not there. @throws BackboneError when it cannot be had or must not be used. */
  ensure(wish: TopicWish): Promise<Topic> {
    const known = this.#found.get(wish.name);
    if (known) return known;
    const found = this.#ensure(wish).catch((error: unknown) => {
      this.#found.delete(wish.name);
      throw asBackboneError(this.#cluster.name, error, "read");
    });
    this.#found.set(wish.name, found);
    return found;
  }

  /** @throws BackboneError where partitions were added: a channel would lie in two of them. */
  mustHaveItsPartitions({ name, leaders }: Topic): void {
    const { partitions } = this.#settings;
    if (leaders.length === partitions) return;
    throw invalid(
      this.#cluster.name,
      `topic ${name} has ${leaders.length} partitions, and partitions is ${partitions}: the same channel would lie in two places. ` +
        "Set partitions to what it was when the first message was written; if partitions were added since, write to a new topic",
    );
  }

  /** Asks how the topics are by now. @throws BackboneError when no broker answers, or one of them must not be used any more. */
  async check(): Promise<void> {
    await this.#cluster.refresh();
    for (const name of this.#found.keys()) {
      const topic = this.#cluster.topic(name);
      if (topic) this.mustHaveItsPartitions(topic);
    }
  }

  async #ensure(wish: TopicWish): Promise<Topic> {
    const { name } = this.#cluster;
    let topic = await this.#cluster.find(wish.name);
    if (!topic) {
      if (!this.#settings.create_topics) {
        throw invalid(
          name,
          `there is no topic ${wish.name}. Make it with ${this.#settings.partitions} partitions, or set create_topics`,
        );
      }
      await this.#make(wish);
      topic = await this.#known(wish.name);
    }
    this.mustHaveItsPartitions(topic);
    const flaws = wish.flaws(await this.#configs(wish.name), topic);
    const grave = flaws.filter((flaw) => flaw.grave);
    if (grave.length > 0 && !this.#settings.unsafe) throw invalid(name, grave.map(({ words }) => words).join("; "));
    for (const { words } of flaws) process.emitWarning(`[${name}] ${words}`);
    return topic;
  }

  async #make({ name, configs }: TopicWish): Promise<void> {
    const { partitions } = this.#settings;
    const replicas = this.#settings.replicas ?? Math.min(3, this.#cluster.brokers.size);
    const all: Record<string, string> = { ...configs };
    // A majority must have a message before it is acknowledged, or the one copy there is.
    all["min.insync.replicas"] ??= String(Math.floor(replicas / 2) + 1);
    try {
      await this.#opened().createTopics({
        topics: [name],
        partitions,
        replicas,
        configs: Object.entries(all).map(([key, value]) => ({ name: key, value })),
      });
    } catch (error) {
      if (!hasCode(error, EXISTS)) throw error;
    }
  }

  async #known(name: string): Promise<Topic> {
    const deadline = performance.now() + KNOWN_MS;
    for (;;) {
      const topic = await this.#cluster.find(name);
      if (topic?.leaders.every(({ broker }) => broker >= 0)) return topic;
      if (performance.now() > deadline)
        throw invalid(this.#cluster.name, `topic ${name} was made, and has no leaders ${KNOWN_MS / 1000} s later`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      await this.#cluster.refresh();
    }
  }

  async #configs(name: string): Promise<ReadonlyMap<string, string>> {
    const [found] = await this.#opened().describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: name }],
    });
    return new Map(found?.configs.map((config) => [config.name, config.value ?? ""]));
  }

  #opened(): Admin {
    this.#admin ??= new Admin({ ...this.#cluster.options, retries: 2, retryDelay: 200 });
    return this.#admin;
  }
}

/** The topic that a namespace's messages lie in. `ageMs`: how long they are to be kept, if that is more than the settings say. */
export function logTopic(namespace: string, settings: KafkaSettings, ageMs = 0): TopicWish {
  const own = Object.hasOwn(settings.topics, namespace) ? settings.topics[namespace] : undefined;
  const name = own ?? `${settings.prefix}${namespace === "" ? "DEFAULT" : namespace}`;
  const retention = Math.max(settings.retention, ageMs);
  return {
    name,
    configs: {
      "cleanup.policy": "delete",
      "retention.ms": String(retention),
      "unclean.leader.election.enable": "false",
      // The window of a repeated key is measured by one clock, the leader's.
      "message.timestamp.type": "LogAppendTime",
      "max.message.bytes": String(RECORD_BYTES),
    },
    flaws: (configs, topic) => logFlaws(name, configs, topic, retention),
  };
}

/** The topic for what is not kept: signals between gateways, and messages of namespaces without a log. */
export function busTopic(settings: KafkaSettings): TopicWish {
  const name = `${settings.prefix}BUS`;
  return {
    name,
    configs: {
      "cleanup.policy": "delete",
      "retention.ms": "600000",
      "segment.ms": "600000",
      "unclean.leader.election.enable": "true",
      "min.insync.replicas": "1",
      "max.message.bytes": String(RECORD_BYTES),
    },
    flaws: () => [],
  };
}

/** The topic that holds the cursors. One that is not used for the lifetime is forgotten. */
export function cursorTopic(settings: KafkaSettings): TopicWish {
  const name = `${settings.prefix}CURSORS`;
  return {
    name,
    configs: {
      "cleanup.policy": "compact,delete",
      "retention.ms": String(settings.cursor_lifetime),
      "unclean.leader.election.enable": "false",
      "message.timestamp.type": "LogAppendTime",
      // Whoever wrote a record that has no effect has until then to write one that says so.
      "min.compaction.lag.ms": "60000",
    },
    flaws: (configs, topic) => {
      const flaws = safetyFlaws(name, configs, topic);
      const policy = configs.get("cleanup.policy") ?? "delete";
      if (policy.includes("compact")) return flaws;
      const words = `topic ${name} has cleanup.policy=${policy}: it would grow for ever, and take long to read. Set it to compact,delete`;
      return [...flaws, { words, grave: true }];
    },
  };
}

/** The topic for what happens to queues. What the newest snapshots say is removed from it, and nothing else. */
export function queueTopic(settings: KafkaSettings): TopicWish {
  const name = `${settings.prefix}QUEUES`;
  return {
    name,
    configs: {
      "cleanup.policy": "delete",
      "retention.ms": "-1",
      "retention.bytes": "-1",
      // Disk is only free again by whole segments.
      "segment.bytes": "67108864",
      "unclean.leader.election.enable": "false",
      // Leases end by one clock, the leader's.
      "message.timestamp.type": "LogAppendTime",
      "max.message.bytes": String(RECORD_BYTES),
    },
    flaws: (configs, topic) => queueFlaws(name, configs, topic),
  };
}

/** The topic for what the queues were at a place of their log. */
export function queueStateTopic(settings: KafkaSettings): TopicWish {
  const name = `${settings.prefix}QUEUE-STATE`;
  return {
    name,
    configs: {
      "cleanup.policy": "compact",
      "segment.bytes": "33554432",
      "segment.ms": "3600000",
      "min.cleanable.dirty.ratio": "0.1",
      "unclean.leader.election.enable": "false",
      "max.message.bytes": String(RECORD_BYTES),
    },
    flaws: (configs, topic) => {
      const flaws = safetyFlaws(name, configs, topic);
      const policy = configs.get("cleanup.policy") ?? "delete";
      if (policy === "compact") return flaws;
      const words = `topic ${name} has cleanup.policy=${policy}: jobs would be lost with the state that it removes. Set it to compact`;
      return [...flaws, { words, grave: true }];
    },
  };
}

function queueFlaws(name: string, configs: ReadonlyMap<string, string>, topic: Topic): readonly Flaw[] {
  const flaws = safetyFlaws(name, configs, topic);
  const must = (key: string, value: string, why: string): void => {
    const found = configs.get(key) ?? "";
    if (found !== value)
      flaws.push({ words: `topic ${name} has ${key}=${found}: ${why}. Set it to ${value}`, grave: true });
  };
  must("cleanup.policy", "delete", "only the newest command of each queue would be kept, and jobs lost");
  must("retention.ms", "-1", "jobs that wait for longer would be lost");
  must("retention.bytes", "-1", "when much is written, jobs that wait would be lost");
  must("message.timestamp.type", "LogAppendTime", "leases would end by the clocks of gateways, which differ");
  mustHoldLargest(flaws, name, configs);
  return flaws;
}

function mustHoldLargest(flaws: Flaw[], name: string, configs: ReadonlyMap<string, string>): void {
  const largest = Number(configs.get("max.message.bytes") ?? 0);
  if (largest >= RECORD_BYTES) return;
  const words = `has max.message.bytes=${largest}: large messages would be refused. Set it to ${RECORD_BYTES}`;
  flaws.push({ words: `topic ${name} ${words}`, grave: true });
}

function logFlaws(
  name: string,
  configs: ReadonlyMap<string, string>,
  topic: Topic,
  retentionMs: number,
): readonly Flaw[] {
  const flaws = safetyFlaws(name, configs, topic);
  const say = (words: string, grave: boolean): unknown => flaws.push({ words: `topic ${name} ${words}`, grave });
  const policy = configs.get("cleanup.policy") ?? "delete";
  if (policy.includes("compact"))
    say(`has cleanup.policy=${policy}: only the newest message of each channel would be kept. Set it to delete`, true);
  const kept = Number(configs.get("retention.ms") ?? -1);
  if (kept >= 0 && kept < retentionMs)
    say(
      `has retention.ms=${kept}, and messages are to be kept for ${formatDuration(retentionMs)}: they would be gone too early. ` +
        `Set it to ${retentionMs}, or shorten the retention of the namespace and of the backbone`,
      true,
    );
  if (Number(configs.get("retention.bytes") ?? -1) >= 0)
    say(
      `has retention.bytes=${configs.get("retention.bytes")}: when much is written, messages are gone before their age. Set it to -1`,
      false,
    );
  mustHoldLargest(flaws, name, configs);
  return flaws;
}

/** The topic for what gateways know of the partitions, so that the next one need not read all of them. */
export function indexTopic(settings: KafkaSettings): TopicWish {
  return {
    name: `${settings.prefix}INDEX`,
    configs: {
      "cleanup.policy": "compact",
      "segment.ms": "3600000",
      "segment.bytes": "33554432",
      "min.cleanable.dirty.ratio": "0.1",
      "max.message.bytes": "2097152",
    },
    flaws: () => [],
  };
}

/** What can lose a message that was acknowledged. */
function safetyFlaws(name: string, configs: ReadonlyMap<string, string>, { replicas }: Topic): Flaw[] {
  const flaws: Flaw[] = [];
  const say = (words: string, grave: boolean): unknown => flaws.push({ words: `topic ${name} ${words}`, grave });
  if (configs.get("unclean.leader.election.enable") === "true")
    say(
      "has unclean.leader.election.enable=true: a replica that lacks acknowledged messages may become leader. Set it to false",
      true,
    );
  const insync = Number(configs.get("min.insync.replicas") ?? 1);
  if (insync > replicas)
    say(`has min.insync.replicas=${insync} and ${replicas} replicas: it cannot be written. Lower it`, true);
  if (replicas > 1 && insync < 2)
    say(
      `has min.insync.replicas=${insync}: a message is acknowledged when one broker has it, and is gone with that broker. Set it to 2`,
      true,
    );
  if (replicas === 1)
    say(
      "has one replica: its messages are gone with the disk of one broker. Use 3 brokers and replication factor 3",
      false,
    );
  return flaws;
}

function hasCode(error: unknown, code: number): boolean {
  if (!(error instanceof Error)) return false;
  if ("apiCode" in error && error.apiCode === code) return true;
  return error instanceof AggregateError && error.errors.some((one) => hasCode(one, code));
}
