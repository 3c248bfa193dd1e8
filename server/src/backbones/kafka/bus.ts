/**
 * The bus facet. Messages of the log reach the listeners because its partitions are followed; signals between gateways and
 * messages that nobody keeps go over a topic of their own.
 */
import { checkChannel } from "@todoku/protocol";
import type { Bus, Frame, FrameListener } from "../contract.ts";
import { decodeFrame, encodeFrame } from "../frame-text.ts";
import type { LocalBus } from "../local-bus.ts";
import type { FollowedPartition, Reading } from "./followed-partition.ts";
import type { OwnTopic } from "./own-topic.ts";
import type { Places } from "./places.ts";

export class KafkaBus implements Bus {
  readonly #topic: OwnTopic<Reading>;
  readonly #places: Places;
  readonly #listeners: LocalBus;

  constructor(topic: OwnTopic<Reading>, places: Places, listeners: LocalBus) {
    this.#topic = topic;
    this.#places = places;
    this.#listeners = listeners;
  }

  async publish(channel: string, frame: Frame): Promise<void> {
    const record = { key: Buffer.from(channel), value: Buffer.from(encodeFrame(frame)) };
    await this.#topic.append(this.#topic.laneOf(channel), record);
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
    try {
      // What the platform keeps for itself is in no log.
      const kept = checkChannel(channel) === undefined;
      const [bus, log] = await Promise.all([
        this.#topic.follow(this.#topic.laneOf(channel)),
        kept ? this.#places.open(this.#places.of(channel)) : undefined,
      ]);
      for (const partition of log ? [bus, log.followed] : [bus]) {
        partition.holders++;
        held.push(partition);
      }
      return stop;
    } catch (error) {
      await stop();
      throw error;
    }
  }
}

/** Hands what lies on the bus's topic to the listeners. */
export function busReading(listeners: LocalBus): Reading {
  return {
    take: ({ key, value }) => {
      const channel = key?.toString() ?? "";
      if (listeners.has(channel)) listeners.emit(channel, decodeFrame(value?.toString() ?? ""));
    },
    trim: () => {},
    reset: () => {},
  };
}
