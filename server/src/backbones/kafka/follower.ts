/** Reads partitions to their end and goes on from there: those that somebody needs, and for a while longer. */
import type { Clock } from "../../clock.ts";
import type { KafkaCluster } from "./cluster.ts";
import { asBackboneError, CODE, unavailable } from "./failure.ts";
import type { FollowedPartition, Waiter } from "./followed-partition.ts";

/** A partition that nobody needs is followed so long: who leaves often comes back. */
const LINGER_MS = 60_000;
/** After a failure. */
const PAUSE_MS = 100;
/** While a partition is being caught up with, or waits to be taken into its broker's fetch. */
const CATCH_UP_WAIT_MS = 20;
/** No call waits longer for a partition. */
const PATIENCE_MS = 5000;

export class Follower {
  readonly #cluster: KafkaCluster;
  readonly #clock: Clock;
  readonly #mostBytes: number;
  readonly #followed = new Set<FollowedPartition>();
  readonly #loops = new Map<number, Promise<void>>();
  readonly #pauses = new Set<() => void>();
  #stopLinger: (() => void) | undefined;
  #open = false;

  /** `mostBytes` are asked of a partition at once. */
  constructor(cluster: KafkaCluster, clock: Clock, mostBytes: number) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#mostBytes = mostBytes;
  }

  open(): void {
    this.#open = true;
    const again = (): void => {
      this.#stopLinger = this.#clock.after(LINGER_MS / 2, again);
      this.#letGo();
    };
    again();
  }

  /** Resolves when nothing is being read any more. */
  async close(): Promise<void> {
    this.#open = false;
    this.#stopLinger?.();
    const closed = unavailable(this.#cluster.name, "the backbone is closed");
    const all = [...this.#followed];
    this.#followed.clear();
    for (const partition of all) partition.fail(closed);
    for (const done of this.#pauses) done();
    await Promise.all([...this.#loops.values(), ...all.map(({ catchingUp }) => catchingUp)]);
  }

  /**
   * Resolves when the partition is read up to its end, and goes on reading it for a while.
   *
   * @throws BackboneError when that takes too long.
   */
  async use(partition: FollowedPartition): Promise<void> {
    if (!this.#open) throw unavailable(this.#cluster.name, "the backbone is closed");
    if (partition.broken) throw partition.broken;
    partition.usedAt = this.#clock.now();
    if (!this.#followed.has(partition)) {
      this.#followed.add(partition);
      partition.live = false;
      this.#byItself(partition);
    }
    if (partition.live) return;
    await this.#waitFor(partition, Number.POSITIVE_INFINITY);
  }

  /** Resolves when everything before `offset` was taken. @throws BackboneError when that takes too long. */
  async until(partition: FollowedPartition, offset: number): Promise<void> {
    if (partition.next !== undefined && partition.next >= offset) return;
    await this.#waitFor(partition, offset);
  }

  /** Reads it no more. */
  drop(partition: FollowedPartition): void {
    this.#followed.delete(partition);
  }

  /** `POSITIVE_INFINITY`: until it is live. */
  #waitFor(partition: FollowedPartition, offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(PATIENCE_MS, () => {
        partition.waiters.delete(waiter);
        const at = `${partition.topic.name}/${partition.partition} is read up to ${partition.next ?? "nowhere"}`;
        reject(unavailable(this.#cluster.name, `${at} after ${PATIENCE_MS / 1000} s of waiting. Try again`));
      });
      const waiter: Waiter = { offset, resolve, reject, cancel };
      partition.waiters.add(waiter);
    });
  }

  #becameLive(partition: FollowedPartition): void {
    partition.live = true;
    for (const waiter of partition.waiters) {
      if (waiter.offset !== Number.POSITIVE_INFINITY) continue;
      partition.waiters.delete(waiter);
      waiter.cancel();
      waiter.resolve();
    }
  }

  #byItself(partition: FollowedPartition): void {
    partition.joined = false;
    if (partition.catchingUp) return;
    partition.catchingUp = this.#catchUp(partition).finally(() => {
      partition.catchingUp = undefined;
    });
  }

  /** Reads the partition by itself, until its broker's fetch reads it along with the others. */
  async #catchUp(partition: FollowedPartition): Promise<void> {
    let end: number | undefined;
    while (this.#isFollowed(partition) && !partition.joined) {
      try {
        if (this.#isOfAnOldTopic(partition)) return;
        const leader = this.#cluster.leaderOf(partition.topic, partition.partition);
        if (leader === undefined) throw unavailable(this.#cluster.name, "no leader");
        if (partition.next === undefined) {
          const [begin] = await this.#cluster.listOffsets(leader, [partition], partition.from);
          if (begin === undefined) throw unavailable(this.#cluster.name, "no offset");
          const restored = await partition.reading.restore?.();
          // A log that ends before that was cut back: the brokers say so when they are asked for what comes next.
          if (restored !== undefined && begin <= restored) {
            partition.next = restored;
            partition.reading.trim(begin);
          } else {
            partition.reigns.clear();
            if (partition.from === "earliest") partition.begin(begin);
            else partition.next = begin;
          }
          end = undefined;
        }
        if (end === undefined) [end] = await this.#cluster.listOffsets(leader, [partition], "latest");
        if (partition.live) this.#loop(leader);
        const waitMs = partition.live ? CATCH_UP_WAIT_MS : 0;
        await this.#fetch("read", leader, [partition], waitMs);
        // Not before it was asked for something: what is known of it may be of a log that was cut back.
        const isAtEnd = end !== undefined && partition.next !== undefined && partition.next >= end;
        if (isAtEnd && !partition.live && !partition.broken) this.#becameLive(partition);
      } catch (error) {
        await this.#pauseAfter(error);
      }
    }
  }

  /** Starts the fetches from a broker, if there are none. */
  #loop(node: number): void {
    if (this.#loops.has(node)) return;
    const running = this.#follow(node).finally(() => this.#loops.delete(node));
    this.#loops.set(node, running);
  }

  async #follow(node: number): Promise<void> {
    for (;;) {
      for (const partition of this.#followed) this.#isOfAnOldTopic(partition);
      const mine = [...this.#followed].filter(
        (partition) =>
          partition.live && !partition.broken && this.#cluster.leaderOf(partition.topic, partition.partition) === node,
      );
      if (!this.#open || mine.length === 0) return;
      for (const partition of mine) partition.joined = true;
      try {
        await this.#fetch("follow", node, mine);
      } catch (error) {
        await this.#pauseAfter(error);
      }
      this.#loopAll();
    }
  }

  /** A partition may have got another leader. */
  #loopAll(): void {
    if (!this.#open) return;
    for (const partition of this.#followed) {
      if (!partition.joined || partition.broken) continue;
      const leader = this.#cluster.leaderOf(partition.topic, partition.partition);
      if (leader === undefined) this.#byItself(partition);
      else this.#loop(leader);
    }
  }

  async #fetch(
    line: "follow" | "read",
    node: number,
    partitions: readonly FollowedPartition[],
    waitMs?: number,
  ): Promise<void> {
    const maxBytes = this.#mostBytes;
    const from = partitions.flatMap(({ topic, partition, next, lastEpoch }) =>
      next === undefined ? [] : [{ topic, partition, offset: next, maxBytes, lastEpoch }],
    );
    const fetched = await this.#cluster.fetch(line, node, from, waitMs);
    let stale = false;
    for (const partition of partitions) {
      const answer = fetched.get(partition.topic.id)?.get(partition.partition);
      if (!answer || !this.#isFollowed(partition)) continue;
      const { epoch = -1, endOffset = -1n } = answer.divergingEpoch ?? {};
      if (endOffset >= 0n && partition.next !== undefined)
        this.#cutBack(partition, partition.reigns.sharedWith({ epoch, end: Number(endOffset) }, partition.next));
      else if (answer.errorCode === CODE.NONE) partition.take(answer);
      else if (answer.errorCode === CODE.OFFSET_OUT_OF_RANGE) await this.#outOfRange(node, partition);
      else stale = true;
    }
    if (stale) throw unavailable(this.#cluster.name, `broker ${node} does not lead what it led`);
  }

  /** The log begins after the place where reading stopped, or ends before it. */
  async #outOfRange(node: number, partition: FollowedPartition): Promise<void> {
    const [start] = await this.#cluster.listOffsets(node, [partition], "earliest");
    if (start === undefined || partition.next === undefined) return;
    if (start > partition.next) {
      if (!partition.reading.whole) return partition.begin(start);
      partition.next = undefined;
      partition.live = false;
      this.#byItself(partition);
      return;
    }
    const [end] = await this.#cluster.listOffsets(node, [partition], "latest");
    // A new leader learns late what is committed: its end may seem to lie before ours for a moment.
    if (end === undefined || end >= partition.next) return;
    this.#cutBack(partition, 0);
  }

  /** Messages that were acknowledged, and read, are not in the log any more: an unclean election, or a disk that was lost. */
  #cutBack(partition: FollowedPartition, shared: number): void {
    const { topic, partition: number, next, reading } = partition;
    const words =
      `partition ${number} of ${topic.name} was read up to ${next} and was cut back to ${shared}: messages that were acknowledged are lost. ` +
      `Set unclean.leader.election.enable=false and min.insync.replicas=2 on ${topic.name}`;
    process.emitWarning(`[${this.#cluster.name}] ${words}`);
    partition.live = false;
    if (reading.cut) {
      partition.broken = unavailable(this.#cluster.name, words);
      partition.fail(partition.broken);
      reading.cut(shared);
      return;
    }
    reading.distrust?.(shared);
    partition.next = undefined;
    this.#byItself(partition);
  }

  /** A topic that was deleted and made again is another one: there is nothing more to come from the old one. */
  #isOfAnOldTopic(partition: FollowedPartition): boolean {
    const { name, id } = partition.topic;
    const now = this.#cluster.topic(name);
    if (!now || now.id === id) return false;
    partition.broken ??= unavailable(this.#cluster.name, `topic ${name} was deleted and made anew`);
    partition.fail(partition.broken);
    return true;
  }

  async #pauseAfter(what: unknown): Promise<void> {
    if (!this.#open) return;
    await this.#pause();
    const failure = asBackboneError(this.#cluster.name, what, "read");
    if (failure.reason === "invalid") for (const partition of this.#followed) partition.fail(failure);
    await this.#cluster.refresh().catch(() => {});
  }

  /** Ends at once when this is closed. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#pauses.delete(done);
        resolve();
      };
      const cancel = this.#clock.after(PAUSE_MS, done);
      this.#pauses.add(done);
    });
  }

  #letGo(): void {
    const now = this.#clock.now();
    for (const partition of this.#followed) {
      const needed = partition.holders > 0 || partition.waiters.size > 0 || now - partition.usedAt < LINGER_MS;
      if (!needed) this.#followed.delete(partition);
    }
  }

  #isFollowed(partition: FollowedPartition): boolean {
    return this.#open && this.#followed.has(partition) && !partition.broken;
  }
}
