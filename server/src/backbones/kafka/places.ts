/** Where a channel lies: topic, partition, and what is known of it here. */
import { namespaceOf } from "@todoku/protocol";
import type { Clock } from "../../clock.ts";
import { BackboneError, type Appended } from "../contract.ts";
import { ALL_REPLICAS, type Lane } from "./appender.ts";
import type { KafkaCluster, Topic } from "./cluster.ts";
import { asBackboneError, CODE, unavailable } from "./failure.ts";
import type { Follower } from "./follower.ts";
import { PartitionLog, type PartitionLogOptions } from "./partition-log.ts";
import { partitionOf } from "./partition-of.ts";
import type { BatchName } from "./record-batch.ts";
import { epochRecord, type NewRecord } from "./records.ts";
import type { KafkaSettings } from "./settings.ts";
import type { Snapshots } from "./snapshots.ts";
import { logTopic, type Topics } from "./topics.ts";

const PATIENCE_MS = 5000;
const PAUSE_MS = 100;

/** One partition of a namespace, from before its topic is known. */
class Place implements Lane<Appended> {
  readonly namespace: string;
  readonly partition: number;
  readonly confirm: Lane<Appended>["confirm"];
  log: PartitionLog | undefined;
  /** While the others are told that the log was cut back. */
  telling: Promise<void> | undefined;

  constructor(namespace: string, partition: number, readBack: (place: Place, next: number) => Confirmed) {
    this.namespace = namespace;
    this.partition = partition;
    this.confirm = (next) => readBack(this, next);
  }

  get topic(): Topic | undefined {
    return this.log?.followed.topic;
  }

  get ready(): boolean {
    return this.log?.followed.live === true && !this.log.followed.broken;
  }

  leaves(name: BatchName, records: readonly NewRecord[]): void {
    this.log?.own.add(name, records);
  }
}

export type { Place };

type Confirmed = ReturnType<Lane<Appended>["confirm"]>;

export class Places {
  readonly #cluster: KafkaCluster;
  readonly #topics: Topics;
  readonly #follower: Follower;
  readonly #settings: KafkaSettings;
  readonly #listeners: PartitionLogOptions["listeners"];
  readonly #snapshots: Snapshots;
  readonly #clock: Clock;
  readonly #places = new Map<string, readonly Place[]>();

  constructor(
    cluster: KafkaCluster,
    topics: Topics,
    follower: Follower,
    settings: KafkaSettings,
    listeners: PartitionLogOptions["listeners"],
    snapshots: Snapshots,
    clock: Clock,
  ) {
    this.#cluster = cluster;
    this.#topics = topics;
    this.#follower = follower;
    this.#settings = settings;
    this.#listeners = listeners;
    this.#snapshots = snapshots;
    this.#clock = clock;
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
    const places = known ?? Array.from({ length: partitions }, (_, i) => new Place(namespace, i, this.#readBack));
    if (!known) this.#places.set(namespace, places);
    return places;
  }

  /** Resolves with the partition when it is read up to its end. @throws BackboneError when that takes too long. */
  async open(place: Place): Promise<PartitionLog> {
    for (;;) {
      const log = await this.#present(place);
      try {
        await this.#follower.use(log.followed);
        return log;
      } catch (error) {
        // It was seen only now.
        if (log.cutAt === undefined) throw error;
      }
    }
  }

  /** Only the log, read back, says whether a record repeats an earlier one. */
  readonly #readBack = async (place: Place, next: number): Confirmed => {
    // Its partition may be begun anew meanwhile.
    if (!place.ready) await this.open(place).catch(() => {});
    const { log } = place;
    const { name } = this.#cluster;
    if (!log) throw new BackboneError("unknown", `[${name}] the topic is gone`);
    try {
      await this.#follower.until(log.followed, next);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new BackboneError("unknown", `[${name}] stored, and not read back yet (${why})`, { cause: error });
    }
    return (offset) => log.appended(offset + 1);
  };

  /** The place's log; another one where its topic was made anew, or where it was cut back. */
  async #present(place: Place): Promise<PartitionLog> {
    const known = place.log;
    const now = known && this.#cluster.topic(known.followed.topic.name);
    if (now) this.#topics.mustHaveItsPartitions(now);
    // A topic that was deleted and made again is another one.
    if (!known || (now && now.id !== known.followed.topic.id)) {
      const topic = now ?? (await this.#topics.ensure(logTopic(place.namespace, this.#settings)));
      if (place.log === known) place.log = this.#begin(place, topic, "the newest");
    } else if (known.cutAt !== undefined) {
      const { topic } = known.followed;
      place.telling ??= this.#tellOfFork(known, known.cutAt)
        .then(() => void (place.log = this.#begin(place, topic, "nothing")))
        .finally(() => (place.telling = undefined));
      await place.telling;
    }
    const { log } = place;
    if (!log) throw unavailable(this.#cluster.name, "the topic is being looked for");
    return log;
  }

  /** `restored`: the snapshot that is to be trusted; "nothing" where the log was cut back, and it is read from its beginning. */
  #begin({ namespace, partition }: Place, topic: Topic, restored: "the newest" | "nothing"): PartitionLog {
    const positions = this.#settings.dedupe_positions;
    const listeners = this.#listeners;
    const restore = (log: PartitionLog): Promise<number | undefined> => this.#snapshots.load(log, restored);
    const forgotten = (afterMs: number): void =>
      process.emitWarning(
        `[${this.#cluster.name}] ${topic.name}/${partition} had ${positions.toLocaleString("en")} records within ${Math.ceil(afterMs / 1000)} s, and ` +
          "keys are remembered for as many: a publish that is repeated later, though within the dedupe of its namespace, is stored again. " +
          `Raise dedupe_positions on all gateways at once, or have more partitions`,
      );
    return new PartitionLog({ topic, partition, namespace, positions, listeners, restore, forgotten });
  }

  /** Says in the log that its history parts here, for all readers alike. @throws BackboneError when it cannot be said now. */
  async #tellOfFork(log: PartitionLog, shared: number): Promise<void> {
    const { name } = this.#cluster;
    const { topic, partition } = log.followed;
    const record = epochRecord(log.fork(this.#clock.uuid().replaceAll("-", "").slice(0, 16), shared));
    const deadline = this.#clock.now() + PATIENCE_MS;
    for (;;) {
      try {
        // Should it be written twice, the second has no effect.
        await this.#write(topic, partition, record);
        return;
      } catch (error) {
        if (this.#clock.now() > deadline) {
          const { message } = asBackboneError(name, error, "read");
          const place = `${topic.name}/${partition}`;
          throw unavailable(name, `${place} was cut back, and gets another epoch (${message}). Try again`);
        }
        await new Promise<void>((resolve) => this.#clock.after(PAUSE_MS, resolve));
        await this.#cluster.refresh().catch(() => {});
      }
    }
  }

  async #write(topic: Topic, partition: number, record: NewRecord): Promise<void> {
    const { name } = this.#cluster;
    const leader = this.#cluster.leaderOf(topic, partition);
    if (leader === undefined) throw unavailable(name, "no leader");
    const batch = { topic: topic.name, partition, sequence: 0, records: [record] };
    const producer = await this.#cluster.newProducer();
    const [answer] = await this.#cluster.produce(leader, producer, ALL_REPLICAS, [batch]);
    if (answer?.errorCode !== CODE.NONE) throw unavailable(name, answer?.errorMessage ?? "the leader has changed");
  }
}
