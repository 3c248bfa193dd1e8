/** One partition of a namespace's topic: what it holds of each channel, kept up to date while it is followed. */
import type { Epoch } from "@todoku/protocol";
import type { Appended } from "../contract.ts";
import type { LocalBus } from "../local-bus.ts";
import { ChannelIndex } from "./channel-index.ts";
import { epochOf, type Topic } from "./cluster.ts";
import { FollowedPartition, type Reading } from "./followed-partition.ts";
import { OwnBatches } from "./own-batches.ts";
import { partitionOf } from "./partition-of.ts";
import type { RecordBatch } from "./record-batch.ts";
import { meaningOf, type Meaning, type PlacedRecord } from "./records.ts";

export interface PartitionLogOptions {
  readonly topic: Topic;
  readonly partition: number;
  readonly namespace: string;
  /** How far back a repeated key is recognised. */
  readonly positions: number;
  /** Given each new message once the partition is live. */
  readonly listeners: Pick<LocalBus, "has" | "emit">;
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
  readonly own: OwnBatches = new OwnBatches();
  /** The log was cut back: up to here it is what was read; absent otherwise. */
  cutAt: number | undefined;
  #lineage: Required<Epoch>;
  /** Records that no snapshot has. */
  unsaved = 0;
  /** When the newest snapshot was made; ms since 1970. */
  savedAt = 0;
  readonly #listeners: PartitionLogOptions["listeners"];
  readonly #restore: PartitionLogOptions["restore"];
  #forgotten: PartitionLogOptions["forgotten"] | undefined;
  /** The channel is in order, and this is its partition. */
  readonly #knows = (channel: string): boolean => this.index.knows(channel);

  constructor(options: PartitionLogOptions) {
    const { topic, partition, namespace, positions, listeners, restore, forgotten } = options;
    this.#forgotten = forgotten;
    this.namespace = namespace;
    this.#lineage = { epoch: epochOf(topic), forks: [] };
    this.index = new ChannelIndex(positions);
    this.#listeners = listeners;
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

  /** What is answered to who has appended the record at this offset, which was taken. */
  appended(offset: number): Appended {
    const first = this.index.repeatOf(offset);
    return { epoch: this.epoch, offset: first ?? offset, duplicate: first !== undefined };
  }

  take(record: PlacedRecord): void {
    this.#take(record.offset, record.time, this.#meaningOf(record));
  }

  takeOwn(batch: RecordBatch): boolean {
    const records = this.own.find(batch);
    if (!records) return false;
    for (const [i, { time, meaning }] of records.entries())
      this.#take(batch.firstOffset + i, batch.appendTime ?? time, meaning);
    return true;
  }

  /** `place` is Kafka's offset. */
  #take(place: number, time: number, meaning: Meaning): void {
    const taken = this.index.take(place + 1, time, meaning);
    this.unsaved++;
    if (this.index.forgotAfterMs !== undefined) {
      this.#forgotten?.(this.index.forgotAfterMs);
      this.#forgotten = undefined;
    }
    if (meaning.kind === "epoch") this.#go(meaning.lineage);
    if (!this.followed.live || meaning.channel === undefined || !this.#listeners.has(meaning.channel)) return;
    if (meaning.kind === "malformed") this.#listeners.emit(meaning.channel, { kind: "malformed" });
    if (meaning.kind !== "message" || taken.kind !== "message") return;
    const { offset, prev } = taken;
    const { channel, message } = meaning;
    this.#listeners.emit(channel, { kind: "message", message, position: { epoch: this.epoch, offset }, prev });
  }

  /** A record that lies in another partition than its channel's others would have no place among them. */
  #meaningOf(record: PlacedRecord): Meaning {
    const { topic, partition } = this.followed;
    const meaning = meaningOf(record, this.namespace, partition, this.#knows);
    const { channel } = meaning;
    if (channel === undefined || this.#knows(channel) || partitionOf(channel, topic.leaders.length) === partition)
      return meaning;
    return { kind: "malformed", channel };
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
    for (const channel of this.index.filled()) this.#listeners.emit(channel, { kind: "interrupted" });
  }

  /** Several gateways may have seen that the log was cut back: what the first has said counts. */
  #go(lineage: Required<Epoch>): void {
    if (lineage.forks.some(({ epoch }) => epoch === this.epoch)) this.#lineage = lineage;
  }

  reset(start: number): void {
    this.index.reset(start);
  }
}
