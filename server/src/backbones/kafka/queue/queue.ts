/**
 * The queue facet: a topic of commands, whose order says what comes of them. Every gateway that uses a queue follows its partition and gives
 * the commands to the same machine; whoever wrote one reads off what came of it when it comes back. Nobody owns a queue, so nobody
 * has to be replaced, and who held a lease is fenced off by the log itself.
 */
import type { Clock } from "../../../clock.ts";
import {
  BackboneError,
  type DeadLetters,
  type EnqueueOptions,
  type Failure,
  type FailOutcome,
  type HandOut,
  type Lease,
  type LeaseOptions,
  type LeaseOutcome,
  type Message,
  type Queue,
  type QueueInfo,
  type Redelivery,
} from "../../contract.ts";
import { LocalBus } from "../../local-bus.ts";
import type { Ends } from "../ends.ts";
import { asBackboneError, unavailable } from "../failure.ts";
import type { FollowedPartition } from "../followed-partition.ts";
import type { Follower } from "../follower.ts";
import type { OwnLane, OwnTopic } from "../own-topic.ts";
import {
  recordOfCommand,
  type Command,
  type CommandKind,
  type CommandOf,
  type Outcome,
  type Outcomes,
  type WrittenCommand,
} from "./commands.ts";
import { QueuePartition } from "./queue-partition.ts";
import type { QueueState, StateRow } from "./queue-state.ts";
import type { StateSnapshots } from "./state-snapshots.ts";

type QueueLane = OwnLane<QueuePartition>;

const HINT = { kind: "signal", signal: "" } as const;

export interface KafkaQueueOptions {
  readonly name: string;
  readonly topicName: string;
  /** Most bytes that wait in one partition. */
  readonly mostBytes: number;
  readonly snapshotBytes: number;
  readonly clock: Clock;
  readonly follower: Follower;
  readonly ends: Ends;
  readonly snapshots: StateSnapshots;
  /** Makes the topic, of the readings that it is given. */
  readonly topicOf: (reading: (partition: number) => QueuePartition) => OwnTopic<QueuePartition>;
}

export class KafkaQueue implements Queue {
  readonly dead: DeadLetters;
  readonly #options: KafkaQueueOptions;
  readonly #topic: OwnTopic<QueuePartition>;
  readonly #watchers = new LocalBus();
  /** Names this gateway, in its commands. */
  readonly #by: string;
  #count = 0;

  constructor(options: KafkaQueueOptions) {
    this.#options = options;
    this.#by = options.clock.uuid();
    this.#topic = options.topicOf((partition) => this.#partition(partition));
    this.dead = {
      list: async (queue, { limit, after }) => (await this.#fresh(queue)).look(queue).listDead(queue, after, limit),
      get: async (queue, ids) => (await this.#fresh(queue)).look(queue).getDead(queue, ids),
      replay: (queue, ids) => this.#ask(queue, { do: "replay", ids }),
      purge: (queue, ids) => this.#ask(queue, { do: "purge", ids }),
    };
  }

  async enqueue(queue: string, { data, ...job }: Message, options: EnqueueOptions): Promise<{ duplicate: boolean }> {
    const lane = await this.#follow(queue);
    const { state } = lane.reading;
    const repeated = options.dedupe !== undefined && state.knows(queue, options.dedupe.key);
    if (!repeated && state.bytes >= this.#options.mostBytes) {
      const { name, topicName, mostBytes } = this.#options;
      throw new BackboneError(
        "full",
        `[${name}] the jobs that wait in ${topicName}/${lane.partition}, ${queue}'s among them, take ${mostBytes} bytes. ` +
          `Have them done, purge dead letters, or set backbones.${name}.queue_bytes`,
      );
    }
    return this.#tell(lane, queue, { do: "enqueue", job, options }, data);
  }

  async lease(queue: string, group: string, options: LeaseOptions): Promise<HandOut> {
    const idle = (lane: QueueLane): HandOut | undefined => lane.reading.state.idle(queue, group, lane.reading.now());
    const lane = await this.#follow(queue);
    // Where there seems to be nothing, that is asked, and nothing is written.
    if (idle(lane)) await this.#fresh(queue);
    return idle(lane) ?? this.#tell(lane, queue, { do: "lease", group, options, nonce: this.#options.clock.uuid() });
  }

  done(queue: string, group: string, lease: string): Promise<LeaseOutcome> {
    return this.#ask(queue, { do: "done", group, lease });
  }

  fail(queue: string, group: string, lease: string, failure: Failure): Promise<FailOutcome> {
    return this.#ask(queue, { do: "fail", group, lease, failure });
  }

  extend(queue: string, group: string, lease: string, leaseMs: number): Promise<LeaseOutcome> {
    return this.#ask(queue, { do: "extend", group, lease, leaseMs });
  }

  async held(queue: string, group: string, lease: string): Promise<Lease | undefined> {
    const state = await this.#fresh(queue);
    return state.look(queue).held(queue, group, lease, this.#topic.laneOf(queue).reading.now());
  }

  async info(queue: string): Promise<QueueInfo> {
    const state = await this.#fresh(queue);
    return state.look(queue).info(queue, this.#topic.laneOf(queue).reading.now());
  }

  async pause(queue: string, paused: boolean): Promise<void> {
    await this.#ask(queue, { do: "pause", paused });
  }

  async forget(queue: string, group: string): Promise<void> {
    await this.#ask(queue, { do: "forget", group });
  }

  async watch(queue: string, listener: () => void): Promise<() => Promise<void>> {
    const off = this.#watchers.add(queue, listener);
    try {
      const lane = this.#topic.laneOf(queue);
      const followed = await this.#topic.follow(lane);
      followed.holders++;
      let stopped = false;
      return async () => {
        if (stopped) return;
        stopped = true;
        followed.holders--;
        await off();
      };
    } catch (error) {
      await off();
      throw error;
    }
  }

  async #follow(queue: string): Promise<QueueLane> {
    const lane = this.#topic.laneOf(queue);
    await this.#topic.follow(lane);
    return lane;
  }

  /** As it is after everything that anybody was told of before this call. */
  async #fresh(queue: string): Promise<QueueState> {
    const lane = this.#topic.laneOf(queue);
    const followed = await this.#topic.follow(lane);
    await this.#options.follower.until(followed, await this.#options.ends.of(followed));
    return lane.reading.state;
  }

  async #ask<K extends CommandKind>(queue: string, command: CommandOf<K>): Promise<Outcomes[K]> {
    return this.#tell(await this.#follow(queue), queue, command);
  }

  /** Writes a command, and reads it back: only the log says what comes of it. */
  async #tell<K extends CommandKind>(
    lane: QueueLane,
    queue: string,
    command: CommandOf<K>,
    data?: string,
  ): Promise<Outcomes[K]> {
    const n = ++this.#count;
    const outcome = lane.reading.outcomeOf(n);
    try {
      // It may come back before its leader's answer does. A command's outcome is that of its kind.
      return (await Promise.race([outcome, this.#readBack(lane, queue, command, n, data, outcome)])) as Outcomes[K];
    } finally {
      lane.reading.abandon(n);
    }
  }

  async #readBack(
    lane: QueueLane,
    queue: string,
    command: Command,
    n: number,
    data: string | undefined,
    outcome: Promise<Outcome>,
  ): Promise<Outcome> {
    const { name, follower } = this.#options;
    const offset = await this.#topic.append(lane, recordOfCommand(queue, command, { by: this.#by, n }, data));
    try {
      if (!lane.followed) throw unavailable(name, "the topic is gone");
      await follower.until(lane.followed, offset + 1);
    } catch (error) {
      const { message } = asBackboneError(name, error, "read");
      throw new BackboneError("unknown", `${message}; the command is stored, and was not read back yet`, {
        cause: error,
      });
    }
    if (lane.reading.awaits(n))
      throw new BackboneError("unknown", `[${name}] a command was stored, and what came of it is in a snapshot by now`);
    return outcome;
  }

  #partition(partition: number): QueuePartition {
    const { name, topicName, clock, snapshotBytes, snapshots } = this.#options;
    const followed = (): FollowedPartition => {
      const found = this.#topic.lane(partition).followed;
      if (!found) throw unavailable(name, `${topicName} is not known`);
      return found;
    };
    return new QueuePartition(partition, {
      name,
      topicName,
      clock,
      by: this.#by,
      snapshotBytes,
      tell: (queue) => this.#watchers.emit(queue, HINT),
      orphaned: (written, outcome) => this.#giveBack(written, outcome),
      due: () => void this.#askForSnapshot(partition),
      save: (rows: readonly StateRow[], next: number) => void snapshots.save(followed(), rows, next),
      restore: (reading) => snapshots.load(reading, followed()),
    });
  }

  /** Every gateway may ask at the same moment: the first in the log is to do it. */
  async #askForSnapshot(partition: number): Promise<void> {
    const lane = this.#topic.lane(partition);
    try {
      await this.#topic.follow(lane);
      if (lane.reading.due) await this.#tell(lane, "", { do: "snapshot", since: lane.reading.state.snapshotAt });
    } catch {
      lane.reading.notAsked();
    }
  }

  /** Who asked for jobs was told that it is not known what came of it: nobody will do them before their leases end. */
  #giveBack({ queue, command }: WrittenCommand, outcome: Outcome): void {
    if (command.do !== "lease" || typeof outcome !== "object" || !("leases" in outcome)) return;
    const { group, options } = command;
    const failure: { redelivery: Redelivery; untried: true } = { redelivery: options.redelivery, untried: true };
    for (const { lease } of outcome.leases) void this.fail(queue, group, lease, failure).catch(() => {});
  }
}
