/** A topic of ours beside those of the namespaces: the bus, the cursors, the queues. */
import type { Appender, Lane } from "./appender.ts";
import type { KafkaCluster, Topic } from "./cluster.ts";
import { asBackboneError, unavailable } from "./failure.ts";
import { FollowedPartition, type FollowedOptions, type Reading } from "./followed-partition.ts";
import type { Follower } from "./follower.ts";
import { partitionOf } from "./partition-of.ts";
import type { NewRecord } from "./records.ts";
import type { TopicWish, Topics } from "./topics.ts";

export interface OwnTopicOptions<R extends Reading> {
  readonly wish: TopicWish;
  readonly partitions: number;
  readonly from: FollowedOptions["from"];
  readonly reading: (partition: number) => R;
}

/** One partition of it, from before the topic is known. */
export class OwnLane<R extends Reading> implements Lane<number> {
  readonly partition: number;
  readonly reading: R;
  followed: FollowedPartition | undefined;
  topic: Topic | undefined;

  constructor(partition: number, reading: R) {
    this.partition = partition;
    this.reading = reading;
  }

  get ready(): boolean {
    return this.topic !== undefined;
  }

  /** Who wants it read back waits for that himself. */
  async confirm(): Promise<(offset: number) => number> {
    return (offset) => offset;
  }
}

export class OwnTopic<R extends Reading> {
  readonly #cluster: KafkaCluster;
  readonly #topics: Topics;
  readonly #follower: Follower;
  readonly #appender: Appender;
  readonly #wish: TopicWish;
  readonly #from: FollowedOptions["from"];
  readonly #lanes: readonly OwnLane<R>[];

  constructor(
    cluster: KafkaCluster,
    topics: Topics,
    follower: Follower,
    appender: Appender,
    { wish, partitions, from, reading }: OwnTopicOptions<R>,
  ) {
    this.#cluster = cluster;
    this.#topics = topics;
    this.#follower = follower;
    this.#appender = appender;
    this.#wish = wish;
    this.#from = from;
    this.#lanes = Array.from({ length: partitions }, (_, i) => new OwnLane(i, reading(i)));
  }

  laneOf(key: string): OwnLane<R> {
    return this.lane(partitionOf(key, this.#lanes.length));
  }

  lane(partition: number): OwnLane<R> {
    const lane = this.#lanes[partition];
    if (!lane) throw unavailable(this.#cluster.name, `${this.#wish.name} has no partition ${partition}`);
    return lane;
  }

  /** Resolves with the record's offset when it is stored. Called one after the other, records keep their order. */
  async append(lane: OwnLane<R>, record: NewRecord): Promise<number> {
    const stored = this.#appender.append(lane, record);
    if (!lane.ready) {
      void this.#ensure().catch((error: unknown) =>
        this.#appender.refuse(lane, asBackboneError(this.#cluster.name, error, "read")),
      );
    }
    return stored;
  }

  /** Resolves when the partition is read up to its end; it is read on for a while, or while somebody holds it. */
  async follow(lane: OwnLane<R>): Promise<FollowedPartition> {
    const topic = await this.#ensure();
    const { partition, reading } = lane;
    if (lane.followed?.topic.id !== topic.id) {
      lane.followed = new FollowedPartition({ topic, partition, from: this.#from, reading });
    }
    await this.#follower.use(lane.followed);
    return lane.followed;
  }

  async #ensure(): Promise<Topic> {
    const found = await this.#topics.ensure(this.#wish);
    const topic = this.#cluster.topic(found.name) ?? found;
    for (const lane of this.#lanes) lane.topic = topic;
    this.#appender.wake();
    return topic;
  }
}
