/** One partition of the topic of queues: its state, kept up to date while it is followed, and who waits for what comes of a command. */
import type { Clock } from "../../../clock.ts";
import type { BackboneError } from "../../contract.ts";
import { invalid } from "../failure.ts";
import type { Reading } from "../followed-partition.ts";
import type { PlacedRecord } from "../records.ts";
import { commandOf, COMMAND_FORMAT, type Outcome, type WrittenCommand } from "./commands.ts";
import { QueueState, type StateRow } from "./queue-state.ts";

/** What a record costs in the log, beside what it says; roughly. */
const OVERHEAD_BYTES = 100;

export interface QueuePartitionOptions {
  readonly name: string;
  readonly topicName: string;
  readonly clock: Clock;
  /** Names this gateway. */
  readonly by: string;
  /** Log after which the state is worth writing down, if it is not larger itself. */
  readonly snapshotBytes: number;
  /** Jobs of this queue may have become available. */
  readonly tell: (queue: string) => void;
  /** What came of a command of this gateway's that nobody waits for any more. */
  readonly orphaned: (written: WrittenCommand, outcome: Outcome) => void;
  /** So much was written that the state should be. */
  readonly due: () => void;
  /** This gateway is to write down the state, which says everything up to the record before `next`. */
  readonly save: (rows: readonly StateRow[], next: number) => void;
  readonly restore: (partition: QueuePartition) => Promise<number | undefined>;
}

interface Waiting {
  readonly sentAt: number;
  readonly resolve: (outcome: Outcome) => void;
}

export class QueuePartition implements Reading {
  readonly whole = true;
  readonly state: QueueState = new QueueState();
  fault: BackboneError | undefined;
  /** A snapshot that goes further is of a log that there is no more. */
  trusted = Number.POSITIVE_INFINITY;
  readonly partition: number;
  readonly #options: QueuePartitionOptions;
  readonly #waiting = new Map<number, Waiting>();
  /** How far the brokers' clock is ahead of ours, as far as that is proven; in ms. */
  #ahead = 0;
  /** Of the log since the state was written down. */
  #bytes = 0;
  #asked = false;

  constructor(partition: number, options: QueuePartitionOptions) {
    this.partition = partition;
    this.#options = options;
  }

  /** What the time of a record would be that was stored now; in ms since 1970. */
  now(): number {
    return Math.max(this.state.time, this.#options.clock.now() + this.#ahead);
  }

  /** Resolves with what came of the own command of this number, once it is read back. */
  outcomeOf(n: number): Promise<Outcome> {
    return new Promise((resolve) => this.#waiting.set(n, { sentAt: this.#options.clock.now(), resolve }));
  }

  /** Whether what came of it was not told yet. */
  awaits(n: number): boolean {
    return this.#waiting.has(n);
  }

  /** Nobody waits for it any more. */
  abandon(n: number): void {
    this.#waiting.delete(n);
  }

  /** So much log came since the state was written down that it should be again. */
  get due(): boolean {
    return this.#bytes >= this.#options.snapshotBytes && this.#bytes >= this.state.bytes;
  }

  /** That it is due was not said: another time. */
  notAsked(): void {
    this.#asked = false;
  }

  take(record: PlacedRecord): void {
    const written = commandOf(record);
    this.#bytes += (record.value?.length ?? 0) + OVERHEAD_BYTES;
    if (!written) return;
    if ("format" in written) {
      const said = `has a command of format ${written.format}, and this version knows ${COMMAND_FORMAT}`;
      this.#stop(record, `${said}. Another version of todoku has written it: run that one`);
      return;
    }
    let outcome: Outcome;
    try {
      outcome = this.state.apply(written, record.offset, record.time);
    } catch (error) {
      // Half of it may have happened: what others know by now may be something else.
      this.#stop(record, "has a command that cannot be done. Please report this", { cause: error });
      return;
    }
    if (written.by === this.#options.by) this.#settle(written, outcome, record.time);
    if (makesAvailable(written, outcome)) this.#options.tell(written.queue);
    if (written.command.do === "snapshot") {
      this.#bytes = 0;
      this.#asked = false;
      if (outcome === true && written.by === this.#options.by) this.#options.save(this.state.dump(), record.offset + 1);
    } else if (!this.#asked && this.due) {
      this.#asked = true;
      this.#options.due();
    }
  }

  trim(): void {}

  distrust(shared: number): void {
    this.trusted = Math.min(this.trusted, shared);
  }

  async restore(): Promise<number | undefined> {
    const next = await this.#options.restore(this);
    // Those that come are of the log as it is. An old one would be recognised once more.
    if (next !== undefined) this.trusted = Number.POSITIVE_INFINITY;
    return next;
  }

  reset(start: number): void {
    this.state.clear();
    this.trusted = Number.POSITIVE_INFINITY;
    this.fault = undefined;
    if (start === 0) return;
    const { name, topicName } = this.#options;
    this.fault = invalid(
      name,
      `${topicName}/${this.partition} begins at ${start}, and what the queues were there is not known: no whole snapshot of it is left. ` +
        "Bring back the topic of snapshots from a backup; or delete both topics, and the jobs with them",
    );
  }

  #stop({ offset }: PlacedRecord, why: string, options?: ErrorOptions): void {
    const { name, topicName } = this.#options;
    this.fault = invalid(name, `${topicName}/${this.partition} at ${offset} ${why}`, options);
  }

  #settle(written: WrittenCommand, outcome: Outcome, time: number): void {
    const waiting = this.#waiting.get(written.n);
    if (!waiting) return this.#options.orphaned(written, outcome);
    this.#waiting.delete(written.n);
    // The record was stamped between then and now. Where our clock may be right, it is taken for right.
    this.#ahead = Math.min(Math.max(0, time - this.#options.clock.now()), time - waiting.sentAt);
    waiting.resolve(outcome);
  }
}

function makesAvailable({ command }: WrittenCommand, outcome: Outcome): boolean {
  if (command.do === "enqueue") return typeof outcome === "object" && "duplicate" in outcome && !outcome.duplicate;
  if (command.do === "fail") return outcome === "again" && command.failure.untried === true;
  return command.do === "pause" || command.do === "replay";
}
