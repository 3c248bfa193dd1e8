/** Where a channel lies: topic, partition, and what is known of it here. */
import { namespaceOf } from "@todoku/protocol";
import type { Frame } from "../contract.ts";
import type { Lane } from "./appender.ts";
import type { KafkaCluster, Topic } from "./cluster.ts";
import { unavailable } from "./failure.ts";
import type { Follower } from "./follower.ts";
import { PartitionLog } from "./partition-log.ts";
import { partitionOf } from "./partition-of.ts";
import type { KafkaSettings } from "./settings.ts";
import type { Snapshots } from "./snapshots.ts";
import { logTopic, type Topics } from "./topics.ts";

/** One partition of a namespace, from before its topic is known. */
class Place implements Lane {
  readonly namespace: string;
  readonly partition: number;
  log: PartitionLog | undefined;

  constructor(namespace: string, partition: number) {
    this.namespace = namespace;
    this.partition = partition;
  }

  get topic(): Topic | undefined {
    return this.log?.followed.topic;
  }

  get ready(): boolean {
    return this.log?.followed.live === true;
  }
}

export type { Place };

export class Places {
  readonly #cluster: KafkaCluster;
  readonly #topics: Topics;
  readonly #follower: Follower;
  readonly #settings: KafkaSettings;
  readonly #announce: (channel: string, frame: Frame) => void;
  readonly #snapshots: Snapshots;
  readonly #places = new Map<string, readonly Place[]>();

  constructor(
    cluster: KafkaCluster,
    topics: Topics,
    follower: Follower,
    settings: KafkaSettings,
    announce: (channel: string, frame: Frame) => void,
    snapshots: Snapshots,
  ) {
    this.#cluster = cluster;
    this.#topics = topics;
    this.#follower = follower;
    this.#settings = settings;
    this.#announce = announce;
    this.#snapshots = snapshots;
  }

  of(channel: string): Place {
    const place = this.in(namespaceOf(channel))[partitionOf(channel, this.#settings.partitions)];
    if (!place) throw unavailable(this.#cluster.name, `channel ${JSON.stringify(channel)} has no partition`);
    return place;
  }

  /** All partitions of a namespace. */
  in(namespace: string): readonly Place[] {
    const { partitions } = this.#settings;
    const known = this.#places.get(namespace);
    const places = known ?? Array.from({ length: partitions }, (_, i) => new Place(namespace, i));
    if (!known) this.#places.set(namespace, places);
    return places;
  }

  /** Resolves with the partition when it is read up to its end. @throws BackboneError when that takes too long. */
  async open(place: Place): Promise<PartitionLog> {
    const known = place.log;
    const now = known && this.#cluster.topic(known.followed.topic.name);
    // A topic that was deleted and made again is another one.
    if (!known || (now && now.id !== known.followed.topic.id)) {
      const topic = now ?? (await this.#topics.ensure(logTopic(place.namespace, this.#settings)));
      const { namespace, partition } = place;
      if (place.log === known) {
        const positions = this.#settings.dedupe_positions;
        place.log = new PartitionLog({
          topic,
          partition,
          namespace,
          positions,
          announce: this.#announce,
          snapshots: this.#snapshots,
        });
      }
    }
    const log = place.log;
    if (!log) throw unavailable(this.#cluster.name, "the topic is being looked for");
    if (now) this.#topics.mustHaveItsPartitions(now);
    await this.#follower.use(log.followed);
    return log;
  }
}
