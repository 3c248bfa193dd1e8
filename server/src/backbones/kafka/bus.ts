/**
 * The bus facet. Messages of the log reach the listeners because its partitions are followed; signals between gateways and
 * messages that nobody keeps go over a topic of their own.
 */
import type { Bus, Frame, FrameListener } from "../contract.ts";
import { decodeFrame, encodeFrame } from "../frame-text.ts";
import { LocalBus } from "../local-bus.ts";
import type { Appender, Lane } from "./appender.ts";
import type { KafkaCluster, Topic } from "./cluster.ts";
import { asBackboneError, unavailable } from "./failure.ts";
import { FollowedPartition, type Follower } from "./follower.ts";
import { partitionOf, type Places } from "./places.ts";
import type { KafkaSettings } from "./settings.ts";
import { busTopic, type Topics } from "./topics.ts";

/** One partition of the bus's topic. */
class BusLane implements Lane {
  readonly partition: number;
  followed: FollowedPartition | undefined;
  topic: Topic | undefined;

  constructor(partition: number) {
    this.partition = partition;
  }

  get ready(): boolean {
    return this.topic !== undefined;
  }
}

export class KafkaBus implements Bus {
  readonly #cluster: KafkaCluster;
  readonly #topics: Topics;
  readonly #follower: Follower;
  readonly #appender: Appender;
  readonly #places: Places;
  readonly #settings: KafkaSettings;
  readonly #listeners: LocalBus;
  readonly #lanes: readonly BusLane[];

  constructor(
    cluster: KafkaCluster,
    topics: Topics,
    follower: Follower,
    appender: Appender,
    places: Places,
    settings: KafkaSettings,
    listeners: LocalBus,
  ) {
    this.#cluster = cluster;
    this.#topics = topics;
    this.#follower = follower;
    this.#appender = appender;
    this.#places = places;
    this.#settings = settings;
    this.#listeners = listeners;
    this.#lanes = Array.from({ length: settings.partitions }, (_, i) => new BusLane(i));
  }

  async publish(channel: string, frame: Frame): Promise<void> {
    const lane = this.#laneOf(channel);
    const taken = this.#appender.append(lane, {
      key: Buffer.from(channel),
      value: Buffer.from(encodeFrame(frame)),
      timestamp: BigInt(Date.now()),
    });
    if (!lane.ready) {
      void this.#ensure().catch((error: unknown) =>
        this.#appender.refuse(lane, asBackboneError(this.#cluster.name, error, "read")),
      );
    }
    await taken;
  }

  async subscribe(channel: string, listener: FrameListener): Promise<() => Promise<void>> {
    const off = this.#listeners.add(channel, listener);
    const held: FollowedPartition[] = [];
    let stopped = false;
    const stop = async (): Promise<void> => {
      if (stopped) return;
      stopped = true;
      for (const partition of held) partition.holders--;
      await off();
    };
    const hold = (partition: FollowedPartition): void => {
      partition.holders++;
      held.push(partition);
    };
    try {
      const [log, bus] = await Promise.all([this.#places.open(this.#places.of(channel)), this.#follow(channel)]);
      hold(log.followed);
      hold(bus);
      return stop;
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async #follow(channel: string): Promise<FollowedPartition> {
    const lane = this.#laneOf(channel);
    const topic = await this.#ensure();
    lane.followed ??= new FollowedPartition({
      topic,
      partition: lane.partition,
      from: "latest",
      reading: {
        take: ({ key, value }) => {
          const to = key?.toString() ?? "";
          if (this.#listeners.has(to)) this.#listeners.emit(to, decodeFrame(value?.toString() ?? ""));
        },
        trim: () => {},
        reset: () => {},
      },
    });
    await this.#follower.use(lane.followed);
    return lane.followed;
  }

  async #ensure(): Promise<Topic> {
    const topic = await this.#topics.ensure(busTopic(this.#settings));
    for (const lane of this.#lanes) lane.topic = topic;
    this.#appender.wake();
    return topic;
  }

  #laneOf(channel: string): BusLane {
    const lane = this.#lanes[partitionOf(channel, this.#settings.partitions)];
    if (!lane) throw unavailable(this.#cluster.name, `channel ${JSON.stringify(channel)} has no partition`);
    return lane;
  }
}
