/**
 * The queue facet: jobs in a hash, their order and their times in sorted sets, moved by scripts. Streams' own consumer groups
 * know neither delays nor an exact end of a lease; why this was chosen: docs/decisions/queues-on-redis.md.
 */
import type { Clock } from "../../../clock.ts";
import type {
  Bus,
  DeadLetter,
  DeadLetters,
  EnqueueOptions,
  Failure,
  FailOutcome,
  GroupInfo,
  HandOut,
  Lease,
  LeaseOptions,
  LeaseOutcome,
  Message,
  Queue,
  QueueInfo,
  Redelivery,
} from "../../contract.ts";
import {
  DONE,
  ENQUEUE,
  EXTEND,
  FAIL,
  FORGET_GROUP,
  GET_DEAD,
  HELD,
  INFO,
  LEASE,
  LIST_DEAD,
  PAUSE,
  PURGE_DEAD,
  REPLAY_DEAD,
} from "./queue-scripts.ts";
import type { ScriptCalls } from "./script-calls.ts";
import type { Script } from "./script.ts";
import { TurnBatches } from "./turn-batches.ts";

/** Ids handled in one script. */
const MOST_IDS = 200;
/** Values of one group in the answer of INFO. */
const GROUP_VALUES = 6;

interface NewJob {
  readonly job: Message;
  readonly options: EnqueueOptions;
}

/** The keys of a queue, which share a hash tag and so a server. */
export interface QueueKeys {
  base(queue: string): string;
  /** On which hints are published. */
  bus(queue: string): string;
  idempotency(queue: string, key: string): string;
}

export class RedisQueue implements Queue {
  readonly dead: DeadLetters;
  readonly #calls: ScriptCalls;
  readonly #keys: QueueKeys;
  readonly #publish: "PUBLISH" | "SPUBLISH";
  readonly #bus: Bus;
  readonly #clock: Clock;
  /** By queue. Answers 1 for a duplicate. */
  readonly #enqueues: TurnBatches<NewJob, number> = new TurnBatches((queue, jobs) => this.#enqueue(queue, jobs));
  /** By queue and group. Answers 1 for what is done. */
  readonly #ends: TurnBatches<string, number> = new TurnBatches((key, leases) => {
    const [queue, group] = JSON.parse(key) as [string, string];
    return this.#run(DONE, queue, [group, ...leases]) as Promise<number[]>;
  });

  constructor(calls: ScriptCalls, keys: QueueKeys, publish: "PUBLISH" | "SPUBLISH", bus: Bus, clock: Clock) {
    this.#calls = calls;
    this.#keys = keys;
    this.#publish = publish;
    this.#bus = bus;
    this.#clock = clock;
    this.dead = {
      list: async (queue, { limit, after = "0" }) =>
        lettersOf(await this.#run(LIST_DEAD, queue, [/^\d+$/.test(after) ? after : "0", limit])),
      get: async (queue, ids) => lettersOf((await this.#inChunks(GET_DEAD, queue, [], ids)).flat()),
      replay: async (queue, ids) => sum(await this.#inChunks(REPLAY_DEAD, queue, [this.#publish], ids)),
      purge: async (queue, ids) => sum(await this.#inChunks(PURGE_DEAD, queue, [], ids)),
    };
  }

  async enqueue(queue: string, job: Message, options: EnqueueOptions): Promise<{ readonly duplicate: boolean }> {
    return { duplicate: (await this.#enqueues.ask(queue, { job, options })) === 1 };
  }

  #enqueue(queue: string, all: readonly NewJob[]): Promise<readonly number[]> {
    const keys: string[] = [];
    const args: (string | number)[] = [this.#publish];
    for (const { job, options } of all) {
      const { dedupe, deliverAt = 0, expiresAt = 0 } = options;
      const windowMs = dedupe?.windowMs ?? 0;
      args.push(JSON.stringify(job), deliverAt, expiresAt, windowMs);
      if (dedupe && windowMs > 0) keys.push(this.#keys.idempotency(queue, dedupe.key));
    }
    return this.#run(ENQUEUE, queue, args, keys) as Promise<number[]>;
  }

  async lease(queue: string, group: string, { limit, leaseMs, redelivery }: LeaseOptions): Promise<HandOut> {
    const args = [group, limit, leaseMs, this.#clock.uuid(), ...redeliveryArgs(redelivery)];
    const [next, ...values] = (await this.#run(LEASE, queue, args)) as [number, ...(string | number)[]];
    const leases: Lease[] = [];
    for (let i = 0; i + 2 < values.length; i += 3) {
      const [lease, attempt, job] = values.slice(i, i + 3) as [string, number, string];
      leases.push({ lease, attempt, job: JSON.parse(job) as Message });
    }
    return { leases, ...(next >= 0 && { nextInMs: next }) };
  }

  async done(queue: string, group: string, lease: string): Promise<LeaseOutcome> {
    return (await this.#ends.ask(JSON.stringify([queue, group]), lease)) === 1 ? "done" : "fenced";
  }

  async fail(
    queue: string,
    group: string,
    lease: string,
    { redelivery, retryInMs, untried, reason = "it failed" }: Failure,
  ): Promise<FailOutcome> {
    const how = [this.#publish, reason, untried === true ? "1" : "0", retryInMs ?? ""];
    const answer = await this.#run(FAIL, queue, [group, lease, ...how, ...redeliveryArgs(redelivery)]);
    return answer === 0 ? "fenced" : answer === 1 ? "again" : "dead";
  }

  async extend(queue: string, group: string, lease: string, leaseMs: number): Promise<LeaseOutcome> {
    return (await this.#run(EXTEND, queue, [group, lease, leaseMs])) === 1 ? "done" : "fenced";
  }

  async held(queue: string, group: string, lease: string): Promise<Lease | undefined> {
    const [attempt, job] = (await this.#run(HELD, queue, [group, lease])) as [number?, string?];
    return attempt === undefined || job === undefined ? undefined : { lease, attempt, job: JSON.parse(job) as Message };
  }

  watch(queue: string, listener: () => void): Promise<() => Promise<void>> {
    return this.#bus.subscribe(queue, listener);
  }

  async info(queue: string): Promise<QueueInfo> {
    const [paused, jobs, ...values] = (await this.#run(INFO, queue, [])) as [number, number, ...(string | number)[]];
    const groups: GroupInfo[] = [];
    for (let i = 0; i < values.length; i += GROUP_VALUES) {
      const [group, ready, leased, delayed, dead, oldest] = values.slice(i, i + GROUP_VALUES) as [
        string,
        number,
        number,
        number,
        number,
        string,
      ];
      const oldestTime = oldest === "" ? undefined : (JSON.parse(oldest) as Message).time;
      groups.push({ group, ready, leased, delayed, dead, ...(oldestTime !== undefined && { oldestTime }) });
    }
    return { paused: paused === 1, jobs, groups };
  }

  async pause(queue: string, paused: boolean): Promise<void> {
    await this.#run(PAUSE, queue, [this.#publish, paused ? "1" : "0"]);
  }

  async forget(queue: string, group: string): Promise<void> {
    await this.#run(FORGET_GROUP, queue, [group]);
  }

  #run(
    script: Script,
    queue: string,
    args: readonly (string | number)[],
    more: readonly string[] = [],
  ): Promise<unknown> {
    return this.#calls.run(script, [this.#keys.base(queue), this.#keys.bus(queue), ...more], args);
  }

  async #inChunks(
    script: Script,
    queue: string,
    args: readonly string[],
    ids: readonly string[],
  ): Promise<readonly unknown[]> {
    const unique = [...new Set(ids)];
    const answers: unknown[] = [];
    for (let i = 0; i < unique.length; i += MOST_IDS) {
      answers.push(await this.#run(script, queue, [...args, ...unique.slice(i, i + MOST_IDS)]));
    }
    return answers;
  }
}

function redeliveryArgs({ maxAttempts, backoff, deadLetters }: Redelivery): readonly (string | number)[] {
  return [maxAttempts, backoff.firstMs, backoff.lastMs, deadLetters ? "1" : "0"];
}

function sum(answers: readonly unknown[]): number {
  return answers.reduce<number>((total, answer) => total + (answer as number), 0);
}

function lettersOf(answer: unknown): readonly DeadLetter[] {
  const values = answer as readonly string[];
  const letters: DeadLetter[] = [];
  for (let i = 0; i + 1 < values.length; i += 2) {
    const [id = "", letter = ""] = values.slice(i, i + 2);
    const end = letter.indexOf("\n");
    const about = JSON.parse(letter.slice(0, end)) as Omit<DeadLetter, "id" | "job">;
    const { group, attempts, time, reason } = about;
    letters.push({ id, group, attempts, time, reason, job: JSON.parse(letter.slice(end + 1)) as Message });
  }
  return letters;
}
