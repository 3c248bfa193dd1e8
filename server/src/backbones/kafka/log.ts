/** The log facet: the channels of a namespace share the partitions of its topic. */
import type { Clock } from "../../clock.ts";
import {
  type AppendOptions,
  type Appended,
  type ChannelPage,
  type ChannelRead,
  type Head,
  type Log,
  type Message,
  type Range,
  type ReadOptions,
  type StoredMessage,
} from "../contract.ts";
import type { Appender } from "./appender.ts";
import type { ChannelState } from "./channel-index.ts";
import type { KafkaCluster } from "./cluster.ts";
import type { Ends } from "./ends.ts";
import { asBackboneError, CODE, unavailable } from "./failure.ts";
import type { Follower } from "./follower.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { Place, Places } from "./places.ts";
import { placedRecords } from "./placed-records.ts";
import { meaningOf, recordOf, removalOf, type NewRecord } from "./records.ts";

const PATIENCE_MS = 5000;
const PAUSE_MS = 50;
/** Messages that lie closer together than this are fetched together. */
const NEAR = 200;
const SPAN = 2000;
/** For a message that lies alone; its whole batch comes anyway. */
const LONE_BYTES = 1024;

/** A message, and whose it is. */
interface Loaded {
  readonly channel: string;
  readonly message: StoredMessage;
}

type Size = Pick<ReadOptions, "limit" | "maxBytes">;

export class KafkaLog implements Log {
  readonly #cluster: KafkaCluster;
  readonly #places: Places;
  readonly #follower: Follower;
  readonly #appender: Appender;
  readonly #ends: Ends;
  readonly #clock: Clock;
  readonly #mostBytes: number;
  /** In this turn. */
  readonly #opened = new Set<Place>();

  constructor(
    cluster: KafkaCluster,
    places: Places,
    follower: Follower,
    appender: Appender,
    ends: Ends,
    clock: Clock,
    mostBytes: number,
  ) {
    this.#cluster = cluster;
    this.#places = places;
    this.#follower = follower;
    this.#appender = appender;
    this.#ends = ends;
    this.#clock = clock;
    this.#mostBytes = mostBytes;
  }

  append(channel: string, message: Message, { dedupe }: AppendOptions): Promise<Appended> {
    return this.#write(channel, recordOf(channel, message, dedupe));
  }

  async read(channel: string, options: ReadOptions): Promise<Range> {
    const log = await this.#fresh(this.#places.of(channel));
    for (;;) {
      const { offsets, head, trimmed } = log.index.state(channel);
      const messages = await this.#messages(log, channel, wanted(offsets, options), options);
      if (messages) return { ...log.lineage, messages, head, trimmed };
    }
  }

  /** A partition is gone through once for all of its channels. */
  async readMany(
    reads: readonly ChannelRead[],
    { limit, maxBytes = Number.POSITIVE_INFINITY }: Size,
  ): Promise<readonly Range[]> {
    const byPlace = Map.groupBy(reads, ({ channel }) => this.#places.of(channel));
    const share = { limit: Math.ceil(limit / byPlace.size), maxBytes: maxBytes / byPlace.size };
    const found = new Map<string, Range>();
    await Promise.all(
      [...byPlace].map(async ([place, group]) => {
        const log = await this.#fresh(place);
        for (const [channel, range] of await this.#readTogether(log, group, share)) found.set(channel, range);
      }),
    );
    return reads.map(({ channel }) => {
      const range = found.get(channel);
      if (!range) throw unavailable(this.#cluster.name, "the partition is not known");
      return range;
    });
  }

  async #readTogether(
    log: PartitionLog,
    reads: readonly ChannelRead[],
    { limit, maxBytes }: Required<Size>,
  ): Promise<ReadonlyMap<string, Range>> {
    for (;;) {
      const states = reads.map(({ channel, after }) => ({ channel, after, ...log.index.state(channel) }));
      const ranges = new Map(
        states.map(({ channel, head, trimmed }) => [
          channel,
          { ...log.lineage, messages: [] as StoredMessage[], head, trimmed },
        ]),
      );
      let bytes = 0;
      let whole = true;
      for (const group of groupsOf(firstOf(states, limit))) {
        const loaded = await this.#load(log, group);
        whole &&= loaded !== undefined;
        for (const offset of group) {
          const one = loaded?.get(offset);
          if (!one || bytes >= maxBytes) continue;
          ranges.get(one.channel)?.messages.push(one.message);
          bytes += Buffer.byteLength(one.message.data);
        }
        if (!whole || bytes >= maxBytes) break;
      }
      if (whole) return ranges;
    }
  }

  async heads(channels: readonly string[]): Promise<readonly Head[]> {
    const places = channels.map((channel) => this.#places.of(channel));
    const logs = new Map(
      await Promise.all([...new Set(places)].map(async (place) => [place, await this.#fresh(place)] as const)),
    );
    return channels.map((channel, i) => {
      const place = places[i];
      const log = place && logs.get(place);
      if (!log) throw unavailable(this.#cluster.name, "the partition is not known");
      const { head, trimmed } = log.index.state(channel);
      return { ...log.lineage, offset: head, trimmed };
    });
  }

  async remove(channel: string): Promise<void> {
    await this.#write(channel, removalOf(channel, this.#clock.now()));
  }

  /** A page is a partition. */
  async channels(namespace: string, after = "0"): Promise<ChannelPage> {
    const partition = Number(after);
    const places = this.#places.in(namespace);
    const place = places[partition];
    if (!place) return { channels: [] };
    const { index } = await this.#fresh(place);
    const next = partition + 1;
    return { channels: index.filled(), ...(next < places.length && { next: String(next) }) };
  }

  #write(channel: string, record: NewRecord): Promise<Appended> {
    const place = this.#places.of(channel);
    // Called in the order of the appends, and before anything is awaited: the lane keeps their order.
    const stored = this.#appender.append(place, record);
    this.#open(place);
    return stored;
  }

  /** What is appended waits until its partition is read up to its end. One look is enough for all that is appended in a turn. */
  #open(place: Place): void {
    if (this.#opened.has(place)) return;
    if (this.#opened.size === 0) this.#clock.soon(() => this.#opened.clear());
    this.#opened.add(place);
    void this.#places.open(place).then(
      () => this.#appender.wake(),
      (error: unknown) => {
        const failure = asBackboneError(this.#cluster.name, error, "read");
        if (failure.reason === "invalid") this.#appender.refuse(place, failure);
      },
    );
  }

  /** Resolves when everything that was stored by anybody before this call was read. */
  async #fresh(place: Place): Promise<PartitionLog> {
    const log = await this.#places.open(place);
    await this.#follower.until(log.followed, await this.#ends.of(log.followed));
    return log;
  }

  /** The messages at these offsets, in this order; undefined where some of them are gone by now. */
  async #messages(
    log: PartitionLog,
    channel: string,
    offsets: readonly number[],
    { limit, maxBytes = Number.POSITIVE_INFINITY }: ReadOptions,
  ): Promise<readonly StoredMessage[] | undefined> {
    const found: StoredMessage[] = [];
    let bytes = 0;
    for (const group of groupsOf(offsets)) {
      const loaded = await this.#load(log, group);
      if (!loaded) return undefined;
      for (const offset of group) {
        const one = loaded.get(offset);
        if (one?.channel !== channel) continue;
        found.push(one.message);
        bytes += Buffer.byteLength(one.message.data);
        if (found.length >= limit || bytes >= maxBytes) return found;
      }
    }
    return found;
  }

  /** Reads the stretch of the partition that these offsets lie in; undefined where its beginning is gone by now. */
  async #load(log: PartitionLog, group: readonly number[]): Promise<ReadonlyMap<number, Loaded> | undefined> {
    const { topic, partition } = log.followed;
    const first = Math.min(...group) - 1;
    const last = Math.max(...group) - 1;
    const maxBytes = group.length === 1 ? LONE_BYTES : this.#mostBytes;
    const wantedOnes = new Set(group);
    const loaded = new Map<number, Loaded>();
    const deadline = this.#clock.now() + PATIENCE_MS;
    for (let at = first; at <= last;) {
      try {
        const leader = this.#cluster.leaderOf(topic, partition);
        if (leader === undefined) throw unavailable(this.#cluster.name, `${topic.name}/${partition} has no leader`);
        const answers = await this.#cluster.fetch("read", leader, [{ topic, partition, offset: at, maxBytes }]);
        const answer = answers.get(topic.id)?.get(partition);
        if (answer?.errorCode === CODE.OFFSET_OUT_OF_RANGE) {
          const [start] = await this.#cluster.listOffsets(leader, [log.followed], "earliest");
          if (start !== undefined && start > at) {
            log.trim(start);
            return undefined;
          }
        }
        if (!answer || answer.errorCode !== CODE.NONE) throw unavailable(this.#cluster.name, "the leader has changed");
        const { records, next } = placedRecords(answer, at);
        for (const record of records) {
          const offset = record.offset + 1;
          if (!wantedOnes.has(offset)) continue;
          const meaning = meaningOf(record, log.namespace, partition);
          if (meaning.kind === "message")
            loaded.set(offset, { channel: meaning.channel, message: { ...meaning.message, offset } });
        }
        if (next === at) throw unavailable(this.#cluster.name, `nothing lies at ${at} of ${topic.name}/${partition}`);
        at = next;
      } catch (error) {
        if (this.#clock.now() >= deadline) throw asBackboneError(this.#cluster.name, error, "read");
        await new Promise<void>((resolve) => this.#clock.after(PAUSE_MS, resolve));
        await this.#cluster.refresh().catch(() => {});
      }
    }
    return loaded;
  }
}

/** The offsets that a read asks for, in its order. */
function wanted(offsets: readonly number[], { after, limit, reverse = false }: ReadOptions): readonly number[] {
  if (!reverse) {
    const from = firstAbove(offsets, after ?? 0);
    return offsets.slice(from, from + limit);
  }
  const to = after === undefined ? offsets.length : firstAbove(offsets, after - 1);
  return offsets.slice(Math.max(0, to - limit), to).toReversed();
}

/** The first messages of several channels that lie in one partition, in its order: `limit` of them, if there are so many. */
function firstOf(
  channels: readonly (Pick<ChannelState, "offsets"> & { readonly after: number })[],
  limit: number,
): readonly number[] {
  const begun = channels.map(({ offsets, after }) => ({ offsets, from: firstAbove(offsets, after) }));
  const [first, last] = begun.reduce(
    ([low, high], { offsets, from }) => [Math.min(low, offsets[from] ?? low), Math.max(high, offsets.at(-1) ?? high)],
    [Number.POSITIVE_INFINITY, 0],
  );
  // A stretch in which there are enough of them, for not all are to be put in order.
  for (let length = 2 * limit; ; length *= 2) {
    const ends = begun.map(({ offsets }) => firstAbove(offsets, first + length));
    const count = begun.reduce((sum, { from }, i) => sum + Math.max(0, (ends[i] ?? 0) - from), 0);
    if (count < limit && first + length < last) continue;
    const all = begun.flatMap(({ offsets, from }, i) => offsets.slice(from, ends[i]));
    return all.toSorted((a, b) => a - b).slice(0, limit);
  }
}

/** Index of the first that is greater than `offset`. */
function firstAbove(offsets: readonly number[], offset: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((offsets[middle] ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Neighbours, which are fetched together. */
function groupsOf(offsets: readonly number[]): readonly (readonly number[])[] {
  const groups: number[][] = [];
  for (const offset of offsets) {
    const group = groups.at(-1);
    const [first = 0] = group ?? [];
    if (group && Math.abs(offset - (group.at(-1) ?? 0)) <= NEAR && Math.abs(offset - first) <= SPAN) group.push(offset);
    else groups.push([offset]);
  }
  return groups;
}
