/**
 * Apache Kafka: bus and log on the partitions of a topic per namespace, cursors in a compacted topic, queues in a topic of commands.
 *
 * Connection: Apache Kafka 3.1 or newer; per broker one connection that waits for news, one for reading and one for writing. No call
 * hangs longer than about five seconds. The user needs the rights of `docs/reference/backbones/kafka.md`.
 *
 * Delivery semantics: a message is a plain record (key = channel, value = data) in the partition that Kafka's own clients would
 * choose, written with acks=all by an idempotent producer. Gateways assign themselves the partitions that they need, and read them
 * back: a record whose idempotency key occurred before in its channel, within the window, is a repeat, for every reader alike. A publish is
 * answered when its record was read back, so that `duplicate` is always known. The epoch is the topic's id.
 *
 * Capabilities: exactly-once, durable, shared, announces its appends; retention by age; an idempotency window of up to a day;
 * queues with delays and expiry; results of jobs are stored before the end of the job, not with it.
 *
 * Limits: the number of partitions is fixed. Each gateway keeps an index of the partitions that it follows: some bytes per message and some
 * hundred per channel; and the jobs that wait in the partitions of the queues that it uses. Removed messages are not served any more, but lie on the brokers' disks until retention takes them.
 */
import type { Clock } from "../../clock.ts";
import type { Backbone, Bus, Capabilities, Cursors, Log, NamespaceUse, Queue } from "../contract.ts";
import { LocalBus } from "../local-bus.ts";
import { cursorsWhileOpen, queueWhileOpen, type WhileOpen } from "../while-open.ts";
import { Appender } from "./appender.ts";
import { busReading, KafkaBus } from "./bus.ts";
import { KAFKA_CAPABILITIES } from "./capabilities.ts";
import { KafkaCluster } from "./cluster.ts";
import { CursorTable, KafkaCursors } from "./cursors.ts";
import { Ends } from "./ends.ts";
import { unavailable } from "./failure.ts";
import { Follower } from "./follower.ts";
import { KafkaLog } from "./log.ts";
import { OwnTopic } from "./own-topic.ts";
import { Places } from "./places.ts";
import { KafkaQueue } from "./queue/queue.ts";
import { SnapshotShelf, StateSnapshots } from "./queue/state-snapshots.ts";
import type { KafkaSettings } from "./settings.ts";
import { Snapshots, SnapshotTable } from "./snapshots.ts";
import { busTopic, cursorTopic, indexTopic, logTopic, queueStateTopic, queueTopic, Topics } from "./topics.ts";

export class KafkaBackbone implements Backbone {
  readonly type = "kafka";
  readonly capabilities: Capabilities = KAFKA_CAPABILITIES;
  readonly bus: Bus;
  readonly log: Log;
  readonly cursors: Cursors;
  readonly queue: Queue;
  readonly #name: string;
  readonly #settings: KafkaSettings;
  readonly #cluster: KafkaCluster;
  readonly #topics: Topics;
  readonly #follower: Follower;
  readonly #appender: Appender;
  readonly #snapshots: Snapshots;
  readonly #listeners = new LocalBus();
  #open = false;

  /** `name` is the configured name. */
  constructor(name: string, settings: KafkaSettings, clock: Clock) {
    this.#name = name;
    this.#settings = settings;
    const cluster = new KafkaCluster(name, settings);
    const topics = new Topics(cluster, settings);
    const follower = new Follower(cluster, clock, settings.read_bytes);
    const appender = new Appender(cluster, clock);
    const indexLanes = new OwnTopic(cluster, topics, follower, appender, {
      wish: indexTopic(settings),
      partitions: settings.partitions,
      from: "earliest",
      reading: () => new SnapshotTable(),
    });
    const snapshots = new Snapshots(indexLanes, follower, clock);
    const places = new Places(cluster, topics, follower, settings, this.#listeners, snapshots, clock);
    const ends = new Ends(cluster, clock);
    const log = new KafkaLog(cluster, places, follower, appender, ends, clock, settings.read_bytes);
    const busLanes = new OwnTopic(cluster, topics, follower, appender, {
      wish: busTopic(settings),
      partitions: settings.partitions,
      from: "latest",
      reading: () => busReading(this.#listeners),
    });
    const bus = new KafkaBus(busLanes, places, this.#listeners);
    const me = clock.uuid();
    const cursorLanes = new OwnTopic(cluster, topics, follower, appender, {
      wish: cursorTopic(settings),
      partitions: settings.partitions,
      from: "earliest",
      reading: () => new CursorTable(me),
    });
    const cursors = new KafkaCursors(name, cursorLanes, follower, clock, me);
    const stateLanes = new OwnTopic(cluster, topics, follower, appender, {
      wish: queueStateTopic(settings),
      partitions: settings.partitions,
      from: "earliest",
      reading: () => new SnapshotShelf(),
    });
    const queueWish = queueTopic(settings);
    const queue = new KafkaQueue({
      name,
      topicName: queueWish.name,
      mostBytes: settings.queue_bytes,
      snapshotBytes: settings.queue_snapshot,
      clock,
      follower,
      ends,
      snapshots: new StateSnapshots(cluster, stateLanes, follower, clock),
      topicOf: (reading) =>
        new OwnTopic(cluster, topics, follower, appender, {
          wish: queueWish,
          partitions: settings.partitions,
          from: "earliest",
          reading,
        }),
    });
    this.#cluster = cluster;
    this.#topics = topics;
    this.#follower = follower;
    this.#appender = appender;
    this.#snapshots = snapshots;
    const whileOpen: WhileOpen = (call) => this.#whileOpen(call);
    this.bus = {
      publish: (channel, frame) => whileOpen(() => bus.publish(channel, frame)),
      subscribe: (channel, listener) => whileOpen(() => bus.subscribe(channel, listener)),
    };
    this.log = {
      append: (...given) => whileOpen(() => log.append(...given)),
      read: (...given) => whileOpen(() => log.read(...given)),
      readMany: (...given) => whileOpen(() => log.readMany(...given)),
      heads: (...given) => whileOpen(() => log.heads(...given)),
      remove: (...given) => whileOpen(() => log.remove(...given)),
      channels: (...given) => whileOpen(() => log.channels(...given)),
    };
    this.cursors = cursorsWhileOpen(cursors, whileOpen);
    this.queue = queueWhileOpen(queue, whileOpen);
  }

  async open(uses: readonly NamespaceUse[] = []): Promise<void> {
    await this.#cluster.open();
    try {
      await this.#checkTopics(uses);
    } catch (error) {
      await Promise.all([this.#cluster.close(), this.#topics.close()]);
      throw error;
    }
    this.#follower.open();
    this.#appender.open();
    this.#snapshots.open();
    this.#open = true;
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#listeners.clear();
    this.#snapshots.close();
    this.#appender.close();
    // Its calls end when the connections do; and it is not to make them again.
    const followed = this.#follower.close();
    await Promise.all([this.#cluster.close(), this.#topics.close()]);
    await followed;
  }

  async check(): Promise<void> {
    await this.#whileOpen(() => this.#topics.check());
  }

  /** Makes and checks the topics that are known to be needed. */
  async #checkTopics(uses: readonly NamespaceUse[]): Promise<void> {
    const facets = new Set(uses.flatMap((use) => use.facets));
    const wishes = uses.flatMap(({ namespace, facets: own, retention }) =>
      own.includes("log") ? [logTopic(namespace, this.#settings, retention.ageMs)] : [],
    );
    if (facets.has("bus")) wishes.push(busTopic(this.#settings));
    if (facets.has("cursors")) wishes.push(cursorTopic(this.#settings));
    if (facets.has("queue")) wishes.push(queueTopic(this.#settings), queueStateTopic(this.#settings));
    await Promise.all(wishes.map((wish) => this.#topics.ensure(wish)));
  }

  async #whileOpen<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#open) throw unavailable(this.#name, "the backbone is closed");
    return work();
  }
}
