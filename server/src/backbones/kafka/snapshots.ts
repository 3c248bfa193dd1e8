/**
 * What a gateway knows of a partition, kept in Kafka, so that the next one need not read the partition from its beginning, and
 * knows the channels whose messages are all gone by now. Only a help: without it the partition is read.
 *
 * A snapshot is some chunks and then its manifest, in one of two slots in turn: the one before stays whole until its successor is.
 */
import type { Epoch } from "@todoku/protocol";
import type { Clock } from "../../clock.ts";
import { epochOf } from "./cluster.ts";
import type { Reading } from "./followed-partition.ts";
import type { Follower } from "./follower.ts";
import type { OwnTopic } from "./own-topic.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { PlacedRecord } from "./records.ts";
import { manifestOf, pack, readWhole, unpack } from "./snapshot-topic.ts";

/** New records after which a snapshot is worth its while. */
const EVERY_RECORDS = 100_000;
/** However little came, no snapshot is older: what retention removes after it, is not known. */
const EVERY_MS = 3_600_000;
const LOOK_MS = 60_000;
/** Before it is packed. */
const CHUNK_CHARACTERS = 2_000_000;
/** Raised when chunks mean something else than before. */
const FORMAT = 1;

interface Manifest {
  readonly format: number;
  readonly id: string;
  /** The topic's, which is another one when it was made anew. */
  readonly epoch: string;
  /** Absent in those of older programs. */
  readonly lineage?: Epoch;
  readonly reigns?: readonly (readonly [epoch: number, from: number])[];
  /** The first offset that was not taken yet. */
  readonly next: number;
  readonly chunks: number;
  /** When it was made; ms since 1970. */
  readonly at: number;
}

/** The snapshots on one partition of their topic. */
export class SnapshotTable implements Reading {
  readonly #collects: (key: string) => boolean;
  readonly #manifests = new Map<string, Manifest>();
  readonly #chunks = new Map<string, { readonly id: string; readonly packed: Buffer }>();

  /** `collects`: whether the chunks with this key are wanted. */
  constructor(collects: (key: string) => boolean = () => false) {
    this.#collects = collects;
  }

  take({ key, value, headers }: PlacedRecord): void {
    const name = key?.toString() ?? "";
    const id = headers.find(([header]) => header?.toString() === "id")?.[1]?.toString();
    if (!value) return;
    if (id !== undefined) {
      if (this.#collects(name)) this.#chunks.set(name, { id, packed: value });
      return;
    }
    const manifest = manifestOf<Manifest>(value, FORMAT);
    if (manifest) this.#manifests.set(name, manifest);
  }

  trim(): void {}

  reset(): void {
    this.#manifests.clear();
    this.#chunks.clear();
  }

  /** The newest of a partition. */
  newest(of: string): { readonly slot: number; readonly manifest: Manifest } | undefined {
    const found = [0, 1].flatMap((slot) => {
      const manifest = this.#manifests.get(`${of}/${slot}`);
      return manifest ? [{ slot, manifest }] : [];
    });
    return found.toSorted((a, b) => b.manifest.at - a.manifest.at)[0];
  }

  /** What it holds, if it is whole. */
  chunks(of: string, slot: number, { id, chunks }: Manifest): readonly Buffer[] | undefined {
    const found = Array.from({ length: chunks }, (_, i) => this.#chunks.get(`${of}/${slot}/${i}`));
    const whole = found.filter((chunk) => chunk !== undefined && chunk.id === id);
    return whole.length === chunks ? whole.flatMap((chunk) => chunk?.packed ?? []) : undefined;
  }
}

export class Snapshots {
  readonly #topic: OwnTopic<SnapshotTable>;
  readonly #follower: Follower;
  readonly #clock: Clock;
  readonly #logs = new Set<PartitionLog>();
  readonly #saving = new Set<PartitionLog>();
  #cancel: (() => void) | undefined;

  constructor(topic: OwnTopic<SnapshotTable>, follower: Follower, clock: Clock) {
    this.#topic = topic;
    this.#follower = follower;
    this.#clock = clock;
  }

  open(): void {
    this.#cancel = this.#clock.after(LOOK_MS * (0.5 + this.#clock.random()), () => {
      this.open();
      for (const log of this.#logs) void this.consider(log);
    });
  }

  close(): void {
    this.#cancel?.();
  }

  /**
   * Brings the partition to where the newest snapshot of it was; resolves with where to go on, or undefined if there is none. From
   * now on snapshots of it are made.
   */
  async load(log: PartitionLog, which: "the newest" | "nothing"): Promise<number | undefined> {
    this.#logs.add(log);
    if (which === "nothing") return undefined;
    try {
      const of = nameOf(log);
      const wanted = new SnapshotTable((key) => key.startsWith(`${of}/`));
      const table = await readWhole(this.#follower, this.#topic, log.followed.partition, wanted);
      const { slot, manifest } = table.newest(of) ?? {};
      const chunks = manifest && slot !== undefined && table.chunks(of, slot, manifest);
      if (!chunks || manifest?.epoch !== epochOf(log.followed.topic)) return undefined;
      log.index.reset(0);
      for (const chunk of chunks) log.index.restore(await unpack(chunk));
      log.savedAt = manifest.at;
      if (manifest.lineage) log.recall(manifest.lineage);
      log.followed.reigns.restore(manifest.reigns ?? []);
      return manifest.next;
    } catch {
      // Whatever is wrong with it: the partition is there to be read.
      return undefined;
    }
  }

  /** Makes a snapshot, if one is due and no other gateway has made it. */
  async consider(log: PartitionLog): Promise<void> {
    const { followed, index } = log;
    if (followed.broken) this.#logs.delete(log);
    if (!followed.live || followed.broken || this.#saving.has(log) || !this.#isDue(log)) return;
    this.#saving.add(log);
    try {
      const of = nameOf(log);
      const lane = this.#topic.lane(followed.partition);
      await this.#topic.follow(lane);
      const known = lane.reading.newest(of);
      if (known && isOf(log, known.manifest) && known.manifest.at > log.savedAt) {
        log.savedAt = known.manifest.at;
        log.unsaved = Math.max(0, (followed.next ?? 0) - known.manifest.next);
        if (!this.#isDue(log)) return;
      }
      const { next } = followed;
      if (next === undefined) return;
      // In one go: nothing is taken meanwhile.
      const texts = [...index.dump(CHUNK_CHARACTERS)];
      const about = { epoch: epochOf(followed.topic), lineage: log.lineage, reigns: followed.reigns.dump() };
      const [id, at, slot] = [this.#clock.uuid(), this.#clock.now(), known?.slot === 0 ? 1 : 0];
      for (const [i, text] of texts.entries()) {
        const headers = new Map([[Buffer.from("id"), Buffer.from(id)]]);
        await this.#topic.append(lane, { key: Buffer.from(`${of}/${slot}/${i}`), value: await pack(text), headers });
      }
      const manifest: Manifest = { format: FORMAT, id, next, chunks: texts.length, at, ...about };
      await this.#topic.append(lane, {
        key: Buffer.from(`${of}/${slot}`),
        value: Buffer.from(JSON.stringify(manifest)),
      });
      log.unsaved = Math.max(0, (followed.next ?? next) - next);
      log.savedAt = at;
    } catch {
      // Another time.
    } finally {
      this.#saving.delete(log);
    }
  }

  #isDue({ unsaved, savedAt }: PartitionLog): boolean {
    return unsaved >= EVERY_RECORDS || (unsaved > 0 && this.#clock.now() - savedAt >= EVERY_MS);
  }
}

/** Not of the topic before, nor of the log before it was cut back. */
function isOf(log: PartitionLog, { epoch, lineage }: Manifest): boolean {
  return epoch === epochOf(log.followed.topic) && (lineage?.epoch ?? epoch) === log.epoch;
}

function nameOf({ followed }: PartitionLog): string {
  return `${followed.topic.name}/${followed.partition}`;
}
