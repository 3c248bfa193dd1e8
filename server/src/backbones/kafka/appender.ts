/**
 * Writes records: per partition in the order of the calls, one batch at a time under one sequence, so that a batch that is
 * sent again is stored once; the batches of all partitions that a broker leads travel together.
 */
import type { Clock } from "../../clock.ts";
import { BackboneError } from "../contract.ts";
import type { Batch, KafkaCluster, Producer, Topic } from "./cluster.ts";
import { asBackboneError, CODE, unavailable } from "./failure.ts";
import type { BatchName } from "./record-batch.ts";
import type { ProducedPartition } from "./record-calls.ts";
import type { NewRecord } from "./records.ts";

/** Who waits for longer is told; a batch that left is sent on until its outcome is known. */
const PATIENCE_MS = 5000;
const SWEEP_MS = 250;
const PAUSE_MS = 100;
/** Of records, in a batch; one that is larger travels alone. */
const BATCH_BYTES = 900 * 1024;
const BATCH_RECORDS = 1000;
/** What a record costs beside its key and value, roughly. */
const OVERHEAD_BYTES = 200;
const SEQUENCES = 2 ** 31;
/** A record is acknowledged when all replicas that are in sync have it. */
export const ALL_REPLICAS = -1;

/** The brokers know the sequence no more: a batch that was sent again may have been stored already. */
const SEQUENCE_LOST: ReadonlySet<number> = new Set([
  CODE.OUT_OF_ORDER_SEQUENCE_NUMBER,
  CODE.INVALID_PRODUCER_EPOCH,
  CODE.UNKNOWN_PRODUCER_ID,
]);
const NEVER: ReadonlySet<number> = new Set([
  CODE.MESSAGE_TOO_LARGE,
  CODE.RECORD_LIST_TOO_LARGE,
  CODE.TOPIC_AUTHORIZATION_FAILED,
  CODE.INVALID_RECORD,
]);

/** The end of a partition that is written to. Who has appended a record is answered with an `A`. */
export interface Lane<A> {
  /** Absent until it is known. */
  readonly topic: Topic | undefined;
  readonly partition: number;
  /** Until then its records wait. */
  readonly ready: boolean;
  /** Called before a batch leaves; not again when it is sent again. */
  leaves?(name: BatchName, records: readonly NewRecord[]): void;
  /**
   * Resolves, once what is stored before `next` may be answered, with the answer for the record at an offset.
   *
   * @throws BackboneError where that cannot be told.
   */
  confirm(next: number): Promise<(offset: number) => A>;
}

type AnyLane = Lane<unknown>;

interface Entry {
  readonly record: NewRecord;
  readonly bytes: number;
  readonly deadline: number;
  /** Absent once its caller was told something. */
  settle: { readonly resolve: (answer: unknown) => void; readonly reject: (error: unknown) => void } | undefined;
}

interface SentBatch {
  readonly entries: readonly Entry[];
  readonly producer: Producer;
  readonly sequence: number;
}

interface LaneQueue {
  readonly lane: AnyLane;
  readonly waiting: Entry[];
  batch: SentBatch | undefined;
  /** The batch is on its way. */
  sent: boolean;
  producer: Producer | undefined;
  sequence: number;
}

export class Appender {
  readonly #cluster: KafkaCluster;
  readonly #clock: Clock;
  readonly #acks: number;
  readonly #queues = new Map<AnyLane, LaneQueue>();
  readonly #busy = new Set<number>();
  #producer: Producer | undefined;
  #asking = false;
  #scheduled = false;
  #stopSweep: (() => void) | undefined;
  #open = false;

  /** `acks`: -1, all replicas that are in sync; 1, the leader alone. */
  constructor(cluster: KafkaCluster, clock: Clock, acks: number = ALL_REPLICAS) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#acks = acks;
  }

  open(): void {
    this.#open = true;
  }

  /** Finishes what can be finished shortly. */
  close(): void {
    this.#open = false;
    this.#stopSweep?.();
    for (const queue of this.#queues.values()) {
      this.#reject(queue.waiting.splice(0), unavailable(this.#cluster.name, "the backbone is closed"));
      const words = `[${this.#cluster.name}] the backbone was closed before Kafka had answered`;
      this.#reject(queue.batch?.entries ?? [], new BackboneError("unknown", words));
    }
    this.#queues.clear();
  }

  /** Resolves with the lane's answer when the record is stored and confirmed. @throws BackboneError. */
  append<A>(lane: Lane<A>, record: NewRecord): Promise<A> {
    return new Promise<A>((resolve, reject) => {
      if (!this.#open) {
        reject(unavailable(this.#cluster.name, "the backbone is closed"));
        return;
      }
      const bytes = (record.value?.length ?? 0) + OVERHEAD_BYTES + record.key.length;
      const deadline = this.#clock.now() + PATIENCE_MS;
      this.#queueOf(lane).waiting.push({
        record,
        bytes,
        deadline,
        settle: { resolve: resolve as (answer: unknown) => void, reject },
      });
      this.wake();
      this.#sweepLater();
    });
  }

  /** A lane may have become ready. */
  wake(): void {
    if (this.#scheduled || !this.#open) return;
    this.#scheduled = true;
    this.#clock.soon(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** What waits for this lane, and has not left, is not stored. */
  refuse(lane: AnyLane, error: BackboneError): void {
    this.#reject(this.#queues.get(lane)?.waiting.splice(0) ?? [], error);
  }

  #queueOf(lane: AnyLane): LaneQueue {
    const known = this.#queues.get(lane);
    if (known) return known;
    const made: LaneQueue = { lane, waiting: [], batch: undefined, sent: false, producer: undefined, sequence: 0 };
    this.#queues.set(lane, made);
    return made;
  }

  #pump(): void {
    if (!this.#open) return;
    const producer = this.#producer;
    if (!producer) {
      this.#askForProducer();
      return;
    }
    const ready = new Map<number, LaneQueue[]>();
    let lost = false;
    for (const queue of this.#queues.values()) {
      const { topic, partition, ready: isReady } = queue.lane;
      if (queue.sent || !topic || !isReady || (!queue.batch && queue.waiting.length === 0)) continue;
      const leader = this.#cluster.leaderOf(topic, partition);
      if (leader === undefined) lost = true;
      else if (!this.#busy.has(leader)) ready.set(leader, [...(ready.get(leader) ?? []), queue]);
    }
    if (lost) void this.#afterFailure();
    for (const [leader, queues] of ready) {
      for (const queue of queues) queue.batch ??= nextBatch(queue, producer);
      // A request carries the batches of one producer; a lane that still has one of an older one comes first.
      const [oldest] = queues.map(({ batch }) => batch?.producer ?? producer).toSorted((a, b) => Number(a.id - b.id));
      void this.#send(
        leader,
        queues.filter(({ batch }) => batch?.producer === oldest),
      );
    }
  }

  async #send(leader: number, queues: readonly LaneQueue[]): Promise<void> {
    const sent = queues.flatMap((queue) => {
      const { batch, lane } = queue;
      if (!batch || !lane.topic) return [];
      queue.sent = true;
      const { name: topic } = lane.topic;
      const { partition } = lane;
      const records = batch.entries.map(({ record }) => record);
      return [{ queue, batch, wire: { topic, partition, sequence: batch.sequence, records } satisfies Batch }];
    });
    const [first] = sent;
    if (!first) return;
    this.#busy.add(leader);
    let failed = false;
    try {
      const wires = sent.map(({ wire }) => wire);
      const answers = await this.#cluster.produce(leader, first.batch.producer, this.#acks, wires);
      for (const [i, { queue, batch }] of sent.entries()) {
        if (!this.#answered(queue, batch, answers[i])) failed = true;
      }
    } catch {
      failed = true;
    } finally {
      for (const { queue } of sent) queue.sent = false;
      this.#busy.delete(leader);
    }
    if (failed) await this.#afterFailure();
    this.wake();
  }

  /** Whether the batch needs no further care. */
  #answered(queue: LaneQueue, batch: SentBatch, answer: ProducedPartition | undefined): boolean {
    if (!answer) return false;
    const { errorCode, errorMessage } = answer;
    if (errorCode === CODE.NONE || errorCode === CODE.DUPLICATE_SEQUENCE_NUMBER) {
      const first = Number(answer.baseOffset);
      queue.batch = undefined;
      // A duplicate so old that the leader does not know any more where it is.
      if (first < 0) this.#reject(batch.entries, this.#unknown("Kafka has it already, and does not say where"));
      else void this.#confirm(queue.lane, batch.entries, first);
      return true;
    }
    const said = errorMessage ?? `error ${errorCode}`;
    if (NEVER.has(errorCode)) {
      queue.batch = undefined;
      this.#reject(
        batch.entries,
        new BackboneError(
          "invalid",
          `[${this.#cluster.name}] Kafka refused a message for ${queue.lane.topic?.name} (${said})`,
        ),
      );
      // The sequence has a hole now, which the leader would refuse.
      this.#renew();
      return true;
    }
    if (SEQUENCE_LOST.has(errorCode)) {
      queue.batch = undefined;
      this.#reject(batch.entries, this.#unknown(`Kafka has lost the producer's sequence (${said})`));
      this.#renew();
      return true;
    }
    return false;
  }

  async #confirm(lane: AnyLane, entries: readonly Entry[], first: number): Promise<void> {
    try {
      const answerOf = await lane.confirm(first + entries.length);
      for (const [i, entry] of entries.entries()) {
        entry.settle?.resolve(answerOf(first + i));
        entry.settle = undefined;
      }
    } catch (error) {
      this.#reject(entries, error);
    }
  }

  #renew(): void {
    this.#producer = undefined;
  }

  #askForProducer(): void {
    if ([...this.#queues.values()].every(({ batch, waiting }) => !batch && waiting.length === 0)) return;
    if (this.#asking) return;
    this.#asking = true;
    void this.#ask().finally(() => {
      this.#asking = false;
      this.wake();
    });
  }

  async #ask(): Promise<void> {
    try {
      this.#producer = await this.#cluster.newProducer();
    } catch (error) {
      const failure = asBackboneError(this.#cluster.name, error, "read");
      if (failure.reason === "invalid") for (const { lane } of this.#queues.values()) this.refuse(lane, failure);
      await this.#afterFailure();
    }
  }

  async #afterFailure(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(PAUSE_MS, resolve));
    if (this.#open) await this.#cluster.refresh().catch(() => {});
    this.wake();
  }

  #sweepLater(): void {
    this.#stopSweep ??= this.#clock.after(SWEEP_MS, () => {
      this.#stopSweep = undefined;
      this.#sweep();
    });
  }

  #sweep(): void {
    const now = this.#clock.now();
    const late = ({ deadline }: Entry): boolean => deadline <= now;
    const waited = `after ${PATIENCE_MS / 1000} s`;
    let left = false;
    for (const queue of this.#queues.values()) {
      const inTime = queue.waiting.findIndex((entry) => !late(entry));
      const overdue = queue.waiting.splice(0, inTime === -1 ? queue.waiting.length : inTime);
      this.#reject(
        overdue,
        unavailable(this.#cluster.name, `Kafka has not taken the message ${waited}. Is it running?`),
      );
      this.#reject(queue.batch?.entries.filter(late) ?? [], this.#unknown(`no answer from Kafka ${waited}`));
      left ||= queue.batch !== undefined || queue.waiting.length > 0;
    }
    if (left) this.#sweepLater();
  }

  #unknown(why: string): BackboneError {
    return new BackboneError("unknown", `[${this.#cluster.name}] ${why}`);
  }

  #reject(entries: readonly Entry[], error: unknown): void {
    for (const entry of entries) {
      entry.settle?.reject(error);
      entry.settle = undefined;
    }
  }
}

function nextBatch(queue: LaneQueue, producer: Producer): SentBatch {
  if (queue.producer !== producer) {
    queue.producer = producer;
    queue.sequence = 0;
  }
  let bytes = 0;
  let count = 0;
  for (const entry of queue.waiting) {
    bytes += entry.bytes;
    if (count > 0 && (bytes > BATCH_BYTES || count === BATCH_RECORDS)) break;
    count++;
  }
  const entries = queue.waiting.splice(0, count);
  const { sequence } = queue;
  queue.sequence = (sequence + entries.length) % SEQUENCES;
  const name = { producerId: producer.id, producerEpoch: producer.epoch, sequence };
  queue.lane.leaves?.(
    name,
    entries.map(({ record }) => record),
  );
  return { entries, producer, sequence };
}
