/** One partition of a namespace's topic: what it holds of each channel, kept up to date while it is followed. */
import type { Frame } from "../contract.ts";
import { ChannelIndex } from "./channel-index.ts";
import type { Topic } from "./cluster.ts";
import { FollowedPartition, type Reading } from "./follower.ts";
import { partitionOf } from "./partition-of.ts";
import { meaningOf, type Meaning, type PlacedRecord } from "./records.ts";
import type { Snapshots } from "./snapshots.ts";

export interface PartitionLogOptions {
  readonly topic: Topic;
  readonly partition: number;
  readonly namespace: string;
  /** How far back a repeated key is recognised. */
  readonly positions: number;
  /** Called with each new message once the partition is live. */
  readonly announce: (channel: string, frame: Frame) => void;
  readonly snapshots: Snapshots;
}

export class PartitionLog implements Reading {
  readonly index: ChannelIndex;
  readonly followed: FollowedPartition;
  readonly epoch: string;
  readonly namespace: string;
  /** Records that no snapshot has. */
  unsaved = 0;
  /** When the newest snapshot was made; ms since 1970. */
  savedAt = 0;
  readonly #announce: PartitionLogOptions["announce"];
  readonly #snapshots: Snapshots;

  constructor({ topic, partition, namespace, positions, announce, snapshots }: PartitionLogOptions) {
    this.namespace = namespace;
    this.epoch = epochOf(topic);
    this.index = new ChannelIndex(positions);
    this.#announce = announce;
    this.#snapshots = snapshots;
    this.followed = new FollowedPartition({ topic, partition, from: "earliest", reading: this });
  }

  take(record: PlacedRecord): void {
    const meaning = this.#meaningOf(record);
    const taken = this.index.take(record.offset + 1, record.time, meaning);
    this.unsaved++;
    if (!this.followed.live) return;
    if (meaning.kind === "malformed" && meaning.channel !== undefined)
      this.#announce(meaning.channel, { kind: "malformed" });
    if (meaning.kind !== "message" || taken.kind !== "message") return;
    const { offset, prev } = taken;
    const { channel, message } = meaning;
    this.#announce(channel, { kind: "message", message, position: { epoch: this.epoch, offset }, prev });
  }

  /** A record that lies in another partition than its channel's others would have no place among them. */
  #meaningOf(record: PlacedRecord): Meaning {
    const { topic, partition } = this.followed;
    const meaning = meaningOf(record, this.namespace, partition);
    if (meaning.channel === undefined || partitionOf(meaning.channel, topic.leaders.length) === partition)
      return meaning;
    return { kind: "malformed", channel: meaning.channel };
  }

  trim(start: number): void {
    this.index.trim(start);
  }

  restore(): Promise<number | undefined> {
    return this.#snapshots.load(this);
  }

  reset(start: number): void {
    this.index.reset(start);
  }
}

/** A topic that was made anew has another id: what was in the old one is lost. */
export function epochOf({ id }: Topic): string {
  return id.replaceAll("-", "").slice(0, 16);
}
