/** One partition of a namespace's topic: what it holds of each channel, kept up to date while it is followed. */
import type { Epoch } from "@todoku/protocol";
import type { Frame } from "../contract.ts";
import { ChannelIndex } from "./channel-index.ts";
import { epochOf, type Topic } from "./cluster.ts";
import { FollowedPartition, type Reading } from "./follower.ts";
import { partitionOf } from "./partition-of.ts";
import { meaningOf, type Meaning, type PlacedRecord } from "./records.ts";

export interface PartitionLogOptions {
  readonly topic: Topic;
  readonly partition: number;
  readonly namespace: string;
  /** How far back a repeated key is recognised. */
  readonly positions: number;
  /** Called with each new message once the partition is live. */
  readonly announce: (channel: string, frame: Frame) => void;
  /** Brings the log to where somebody kept it; resolves with where to go on, or undefined if it is to be read from its beginning. */
  readonly restore: (log: PartitionLog) => Promise<number | undefined>;
  /** Called once, when a key was forgotten so long after its record (ms), for its position, though its window was not over. */
  readonly forgotten: (afterMs: number) => void;
}

/** Older epochs that are remembered. Who comes from one that is older is told of a gap. */
const MOST_FORKS = 20;

export class PartitionLog implements Reading {
  readonly index: ChannelIndex;
  readonly followed: FollowedPartition;
  readonly namespace: string;
  /** The log was cut back: up to here it is what was read; absent otherwise. */
  cutAt: number | undefined;
  #lineage: Required<Epoch>;
  /** Records that no snapshot has. */
  unsaved = 0;
  /** When the newest snapshot was made; ms since 1970. */
  savedAt = 0;
  readonly #announce: PartitionLogOptions["announce"];
  readonly #restore: PartitionLogOptions["restore"];
  #forgotten: PartitionLogOptions["forgotten"] | undefined;

  constructor(options: PartitionLogOptions) {
    const { topic, partition, namespace, positions, announce, restore, forgotten } = options;
    this.#forgotten = forgotten;
    this.namespace = namespace;
    this.#lineage = { epoch: epochOf(topic), forks: [] };
    this.index = new ChannelIndex(positions);
    this.#announce = announce;
    this.#restore = restore;
    this.followed = new FollowedPartition({ topic, partition, from: "earliest", reading: this });
  }

  get epoch(): string {
    return this.#lineage.epoch;
  }

  /** The present epoch, and where it came from. */
  get lineage(): Epoch {
    const { epoch, forks } = this.#lineage;
    return { epoch, ...(forks.length > 0 && { forks }) };
  }

  /** The epoch with this name, of a log that has everything before `shared` in common with this one. */
  fork(epoch: string, shared: number): Required<Epoch> {
    const older = this.#lineage.forks.map((fork) => ({ ...fork, offset: Math.min(fork.offset, shared) }));
    return { epoch, forks: [...older, { epoch: this.epoch, offset: shared }].slice(-MOST_FORKS) };
  }

  take(record: PlacedRecord): void {
    const meaning = this.#meaningOf(record);
    const taken = this.index.take(record.offset + 1, record.time, meaning);
    this.unsaved++;
    if (this.index.forgotAfterMs !== undefined) {
      this.#forgotten?.(this.index.forgotAfterMs);
      this.#forgotten = undefined;
    }
    if (meaning.kind === "epoch") this.#go(meaning.lineage);
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
    return this.#restore(this);
  }

  /** What a snapshot says; of a topic's first epoch it says nothing. */
  recall({ epoch, forks = [] }: Epoch): void {
    this.#lineage = { epoch, forks };
  }

  cut(shared: number): void {
    this.cutAt = shared;
    // Whoever reads begins the log anew.
    for (const channel of this.index.filled()) this.#announce(channel, { kind: "interrupted" });
  }

  /** Several gateways may have seen that the log was cut back: what the first has said counts. */
  #go(lineage: Required<Epoch>): void {
    if (lineage.forks.some(({ epoch }) => epoch === this.epoch)) this.#lineage = lineage;
  }

  reset(start: number): void {
    this.index.reset(start);
  }
}
