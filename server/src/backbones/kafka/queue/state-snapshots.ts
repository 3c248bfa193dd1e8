/**
 * What the queues of a partition were at a place of its log, kept in Kafka; with the commands after it, it is what they are.
 *
 * Unlike the snapshots of the channel index these are no mere help: the log before them is removed. So
 * - each has keys of its own, and nobody writes into another's; who makes one is decided by the log (the command `snapshot`);
 * - it is pieces and then a manifest, which says how many there are and what they hash to;
 * - only when it was read back whole is anything removed, and only what is before the *previous* one, with what is older than that.
 *   Whatever is torn or lost, the one before and the commands after it are there.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../../clock.ts";
import type { KafkaCluster, Topic } from "../cluster.ts";
import { asBackboneError, unavailable } from "../failure.ts";
import type { FollowedPartition, Reading } from "../followed-partition.ts";
import type { Follower } from "../follower.ts";
import type { OwnTopic } from "../own-topic.ts";
import type { PlacedRecord } from "../records.ts";
import type { Reigns } from "../reigns.ts";
import { manifestOf, pack, readWhole, unpack } from "../snapshot-topic.ts";
import type { QueuePartition } from "./queue-partition.ts";
import type { StateRow } from "./queue-state.ts";

/** Raised when rows mean something else than before. */
const FORMAT = 1;
/** Of rows, before they are packed. */
const SECTION_CHARACTERS = 1_000_000;
const PIECE_BYTES = 800 * 1024;

interface Manifest {
  readonly format: number;
  readonly id: string;
  /** The id of the topic of queues. */
  readonly of: string;
  /** The first offset that is not in it. */
  readonly next: number;
  /** Who wrote what is in it: see `Reigns`. */
  readonly reigns: ReturnType<Reigns["dump"]>;
  /** Of each section, how many pieces it has. */
  readonly sections: readonly number[];
  readonly sha256: string;
}

interface Shelved {
  readonly pieces: Map<number, Buffer | undefined>;
  /** Where its newest piece lies. */
  at: number;
  manifest?: Manifest;
}

/** The snapshots in one partition of their topic. */
export class SnapshotShelf implements Reading {
  readonly #collects: boolean;
  readonly #shelved = new Map<string, Shelved>();

  /** `collects`: whether the pieces are wanted too. */
  constructor(collects = false) {
    this.#collects = collects;
  }

  take({ offset, key, value }: PlacedRecord): void {
    const [id = "", place] = key?.toString().split("/") ?? [];
    const known = this.#shelved.get(id);
    if (!value) {
      if (place === undefined) delete known?.manifest;
      else known?.pieces.delete(Number(place));
      if (known && known.pieces.size === 0 && !known.manifest) this.#shelved.delete(id);
      return;
    }
    const shelved = known ?? { pieces: new Map<number, Buffer>(), at: offset };
    this.#shelved.set(id, shelved);
    shelved.at = offset;
    if (place === undefined) {
      const manifest = manifestOf<Manifest>(value, FORMAT);
      if (manifest) shelved.manifest = manifest;
    } else shelved.pieces.set(Number(place), this.#collects ? value : undefined);
  }

  trim(): void {}

  reset(): void {
    this.#shelved.clear();
  }

  /** Newest first. */
  of(topic: Topic): readonly Manifest[] {
    const found = [...this.#shelved.values()].flatMap(({ manifest }) => (manifest?.of === topic.id ? [manifest] : []));
    return found.toSorted((a, b) => b.next - a.next);
  }

  /** Its sections, if it is whole. */
  sections({ id, sections, sha256 }: Manifest): readonly Buffer[] | undefined {
    const pieces = this.#shelved.get(id)?.pieces;
    const count = sections.reduce((sum, one) => sum + one, 0);
    const found = Array.from({ length: count }, (_, i) => pieces?.get(i)).filter((piece) => piece !== undefined);
    if (found.length < count || digestOf(found) !== sha256) return undefined;
    let at = 0;
    return sections.map((length) => Buffer.concat(found.slice(at, (at += length))));
  }

  /** The keys of what is not needed beside those in `kept`: what is older, whole or not. Manifests come first. */
  before(kept: readonly Manifest[]): readonly string[] {
    const needed = new Set(kept.map(({ id }) => id));
    const oldest = Math.min(...kept.map(({ id }) => this.#shelved.get(id)?.at ?? 0));
    const gone = [...this.#shelved].filter(([id, { at }]) => at < oldest && !needed.has(id));
    return [
      ...gone.map(([id]) => id),
      ...gone.flatMap(([id, { pieces }]) => [...pieces.keys()].map((i) => `${id}/${i}`)),
    ];
  }
}

export class StateSnapshots {
  readonly #cluster: KafkaCluster;
  readonly #topic: OwnTopic<SnapshotShelf>;
  readonly #follower: Follower;
  readonly #clock: Clock;
  #warned = false;

  constructor(cluster: KafkaCluster, topic: OwnTopic<SnapshotShelf>, follower: Follower, clock: Clock) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#follower = follower;
    this.#clock = clock;
  }

  /** Brings the state to where the newest snapshot was that is whole; resolves with where to go on, or undefined if there is none. */
  async load(
    { partition, state, trusted }: QueuePartition,
    { topic, reigns }: FollowedPartition,
  ): Promise<number | undefined> {
    const shelf = await this.#read(partition);
    for (const manifest of shelf.of(topic)) {
      const sections = manifest.next > trusted ? undefined : shelf.sections(manifest);
      if (!sections) continue;
      state.clear();
      for (const section of sections) {
        for (const line of (await unpack(section)).split("\n")) state.restore(JSON.parse(line) as StateRow);
      }
      reigns.restore(manifest.reigns);
      return manifest.next;
    }
    return undefined;
  }

  /** Writes the state down, and removes what it makes needless. Never rejects: the log says the same, at more length. */
  async save(followed: FollowedPartition, rows: readonly StateRow[], next: number): Promise<void> {
    const { partition, topic } = followed;
    const reigns = followed.reigns.dump().filter(([, from]) => from < next);
    try {
      const lane = this.#topic.lane(partition);
      const id = this.#clock.uuid();
      const { sections, sha256 } = await this.#writePieces(partition, id, rows);
      const manifest: Manifest = { format: FORMAT, id, of: topic.id, next, reigns, sections, sha256 };
      await this.#topic.append(lane, { key: Buffer.from(id), value: Buffer.from(JSON.stringify(manifest)) });
      const shelf = await this.#read(partition);
      const [newest, previous] = shelf.of(topic).filter((one) => isOf(followed, one) && shelf.sections(one));
      if (newest && previous) await this.#clear(partition, topic, shelf, [newest, previous]);
    } catch (error) {
      this.#warn(error);
    }
  }

  async #writePieces(
    partition: number,
    id: string,
    rows: readonly StateRow[],
  ): Promise<Pick<Manifest, "sections" | "sha256">> {
    const lane = this.#topic.lane(partition);
    const sections: number[] = [];
    const hash = createHash("sha256");
    let place = 0;
    for (const text of textsOf(rows)) {
      const packed = await pack(text);
      sections.push(Math.ceil(packed.length / PIECE_BYTES));
      for (let at = 0; at < packed.length; at += PIECE_BYTES) {
        const piece = packed.subarray(at, at + PIECE_BYTES);
        hash.update(piece);
        await this.#topic.append(lane, { key: Buffer.from(`${id}/${place++}`), value: piece });
      }
    }
    return { sections, sha256: hash.digest("base64") };
  }

  /** The log first: a snapshot is only forgotten when nothing could follow it any more. */
  async #clear(partition: number, topic: Topic, shelf: SnapshotShelf, kept: readonly Manifest[]): Promise<void> {
    const leader = this.#cluster.leaderOf(topic, partition);
    if (leader === undefined) throw unavailable(this.#cluster.name, `${topic.name}/${partition} has no leader`);
    await this.#cluster.deleteRecords(leader, topic, partition, Math.min(...kept.map(({ next }) => next)));
    const lane = this.#topic.lane(partition);
    for (const key of shelf.before(kept)) await this.#topic.append(lane, { key: Buffer.from(key), value: null });
  }

  #read(partition: number): Promise<SnapshotShelf> {
    return readWhole(this.#follower, this.#topic, partition, new SnapshotShelf(true));
  }

  #warn(error: unknown): void {
    const { reason, message } = asBackboneError(this.#cluster.name, error, "read");
    // A broker that is away is told of elsewhere, and comes back.
    if (reason !== "invalid" || this.#warned) return;
    this.#warned = true;
    process.emitWarning(
      `${message}; the state of queues cannot be kept apart from their log, which grows until it can`,
    );
  }
}

/** Where a log was cut back, and acknowledged records with it, there are snapshots of what there is no more. */
function isOf(followed: FollowedPartition, { next, reigns }: Manifest): boolean {
  const now = followed.reigns.dump().filter(([, from]) => from < next);
  return next <= (followed.next ?? 0) && JSON.stringify(now) === JSON.stringify(reigns);
}

function* textsOf(rows: readonly StateRow[]): Iterable<string> {
  let lines: string[] = [];
  let length = 0;
  for (const row of rows) {
    const line = JSON.stringify(row);
    lines.push(line);
    length += line.length;
    if (length < SECTION_CHARACTERS) continue;
    yield lines.join("\n");
    lines = [];
    length = 0;
  }
  if (lines.length > 0) yield lines.join("\n");
}

function digestOf(pieces: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("base64");
}
