/**
 * The queue of a store in the gateway's own process: `memory` and `embedded` keep the same rows in different tables.
 *
 * Jobs are numbered. A group has a cursor, beyond which it has looked at no job; below it, what is leased, delayed or failed
 * has a state. So `enqueue` costs the same for any number of groups, and a job is kept while some group's cursor is below
 * it or some group has a state of it.
 *
 * On `kafka` every gateway gives it the same calls, from the log, and must come to the same rows, in any version: whoever changes what
 * becomes of the rows raises `COMMAND_FORMAT` there. A test of `QueueState` says so.
 */
import type {
  DeadLetter,
  EnqueueOptions,
  Failure,
  FailOutcome,
  HandOut,
  Lease,
  LeaseOptions,
  LeaseOutcome,
  Message,
  QueueInfo,
} from "../contract.ts";
import { delayAfter, END, Round } from "./round.ts";
import type { DeadRow, GroupRow, QueueRow, QueueTables, StateRow } from "./tables.ts";

/** Jobs looked at in one call beyond those handed out (delayed, expired, given up), so that a call stays short. */
const MOST_LOOKS = 500;
/** The job's number, and what makes the hand-out one of its own. */
const LEASE = /^(\d+)-(.+)$/;

/** Every method runs within one transaction of the tables; `now` is in ms since 1970. */
export class LocalQueue {
  readonly #tables: QueueTables;

  constructor(tables: QueueTables) {
    this.#tables = tables;
  }

  /** `mustHaveRoom` throws if there is none for the job; it is not asked about one that is stored already. */
  enqueue(
    queue: string,
    job: Message,
    options: EnqueueOptions,
    now: number,
    mustHaveRoom: () => void = () => {},
  ): { readonly duplicate: boolean } {
    const { dedupe, deliverAt, expiresAt } = options;
    if (dedupe && this.#tables.knows(queue, dedupe.key, now)) return { duplicate: true };
    mustHaveRoom();
    if (dedupe) this.#tables.remember(queue, dedupe.key, dedupe.windowMs, now);
    const row = this.#row(queue);
    row.head++;
    row.jobs++;
    const times = { ...(deliverAt !== undefined && { deliverAt }), ...(expiresAt !== undefined && { expiresAt }) };
    this.#tables.jobs.putSync([queue, row.head], { job, ...times });
    this.#tables.queues.putSync(queue, row);
    return { duplicate: false };
  }

  /** `nonce` makes the names of the leases; it is never used again. */
  lease(queue: string, name: string, options: LeaseOptions, nonce: string, now: number): HandOut {
    const row = this.#row(queue);
    const group = this.#group(queue, row, name);
    if (row.paused) {
      this.#tables.queues.putSync(queue, row);
      return { leases: [] };
    }
    const round = new Round(this.#tables, queue, row, group, now);
    const leases: Lease[] = [];
    let looks = options.limit + MOST_LOOKS;
    const handOut = (number: number, job: Message, attempts: number): void => {
      round.hold(number, { attempts: attempts + 1, lease: nonce, due: now + options.leaseMs });
      leases.push({ lease: `${number}-${nonce}`, job, attempt: attempts + 1 });
    };
    // What was begun comes before what is new.
    for (const { number, state } of round.due(looks)) {
      if (leases.length === options.limit) break;
      looks--;
      round.release(number, state);
      if (state.lease !== undefined && round.putOff(number, state, options.redelivery)) continue;
      const job = this.#tables.jobs.get([queue, number]);
      if (!job || (job.expiresAt ?? END) <= now) round.finish(number);
      else handOut(number, job.job, state.attempts);
    }
    for (const { number, job } of round.unseen(looks)) {
      if (leases.length === options.limit) break;
      looks--;
      round.pass(number);
      const { deliverAt = 0, expiresAt = END } = job;
      if (expiresAt <= now) round.finish(number);
      else if (deliverAt > now) round.hold(number, { attempts: 0, due: deliverAt });
      else handOut(number, job.job, 0);
    }
    this.#tables.queues.putSync(queue, row);
    const next = leases.length === options.limit || looks <= 0 ? now : round.nextDue();
    return { leases, ...(next !== undefined && { nextInMs: Math.max(0, next - now) }) };
  }

  /** What `lease` would answer and change nothing; undefined where it would hand something out, or note something. */
  idle(queue: string, name: string, now: number): HandOut | undefined {
    const row = this.#row(queue);
    const group = row.groups.find((candidate) => candidate.name === name);
    if (!group) return undefined;
    if (row.paused) return { leases: [] };
    const round = new Round(this.#tables, queue, row, group, now);
    if (round.due(1).length + round.unseen(1).length > 0) return undefined;
    const next = round.nextDue();
    return { leases: [], ...(next !== undefined && { nextInMs: next - now }) };
  }

  /** `store` stores the results; it is called if the lease is held. */
  done(queue: string, group: string, lease: string, store: () => void, now: number): LeaseOutcome {
    if (!this.#find(queue, group, lease, now)) return "fenced";
    // Before the rows are read for the end: a result may be a job of the same queue.
    store();
    const found = this.#find(queue, group, lease, now);
    if (!found) return "fenced";
    const { round, row, number, state } = found;
    round.release(number, state);
    round.finish(number);
    this.#tables.queues.putSync(queue, row);
    return "done";
  }

  fail(queue: string, group: string, lease: string, failure: Failure, now: number): FailOutcome {
    const found = this.#find(queue, group, lease, now);
    if (!found) return "fenced";
    const { round, row, number, state } = found;
    const { redelivery, retryInMs, untried, reason = "it failed" } = failure;
    const { attempts } = state;
    const last = untried !== true && attempts >= redelivery.maxAttempts;
    round.release(number, state);
    if (last) round.giveUp(number, attempts, reason, redelivery);
    else if (untried === true) round.hold(number, { attempts: attempts - 1, due: now });
    else round.hold(number, { attempts, due: now + (retryInMs ?? delayAfter(attempts, redelivery)) });
    this.#tables.queues.putSync(queue, row);
    return last ? "dead" : "again";
  }

  extend(queue: string, group: string, lease: string, leaseMs: number, now: number): LeaseOutcome {
    const found = this.#find(queue, group, lease, now);
    if (!found) return "fenced";
    const { round, row, number, state } = found;
    round.release(number, state);
    round.hold(number, { ...state, due: now + leaseMs });
    this.#tables.queues.putSync(queue, row);
    return "done";
  }

  held(queue: string, group: string, lease: string, now: number): Lease | undefined {
    const found = this.#find(queue, group, lease, now);
    const kept = found && this.#tables.jobs.get([queue, found.number]);
    return found && kept && { lease, job: kept.job, attempt: found.state.attempts };
  }

  info(queue: string, now: number): QueueInfo {
    const row = this.#row(queue);
    return {
      paused: row.paused,
      jobs: row.jobs,
      groups: row.groups.map((group) => new Round(this.#tables, queue, row, group, now).info()),
    };
  }

  pause(queue: string, paused: boolean): void {
    this.#tables.queues.putSync(queue, { ...this.#row(queue), paused });
  }

  forget(queue: string, name: string, now: number): void {
    const row = this.#row(queue);
    const group = row.groups.find((candidate) => candidate.name === name);
    if (!group) return;
    row.groups = row.groups.filter((candidate) => candidate !== group);
    const { states, dues, jobs } = this.#tables;
    for (const { key } of Array.from(states.getRange({ start: [queue, name, 0], end: [queue, name, END] })))
      states.removeSync(key);
    for (const { key } of Array.from(dues.getRange({ start: [queue, name, 0, 0], end: [queue, name, END, 0] })))
      dues.removeSync(key);
    if (row.groups.length > 0) {
      const round = new Round(this.#tables, queue, row, group, now);
      for (const { key } of Array.from(jobs.getRange({ start: [queue, 0], end: [queue, END] }))) round.finish(key[1]);
    }
    this.#tables.queues.putSync(queue, row);
  }

  // ── dead letters ───────────────────────────────────────────────────────────

  listDead(queue: string, after: string | undefined, limit: number): readonly DeadLetter[] {
    const start: [string, number] = [queue, (idOf(after ?? "0") ?? 0) + 1];
    const rows = this.#tables.dead.getRange({ start, end: [queue, END], limit });
    return [...rows].map(({ key, value }) => deadLetter(key[1], value));
  }

  getDead(queue: string, ids: readonly string[]): readonly DeadLetter[] {
    return this.#dead(queue, ids).map(([number, row]) => deadLetter(number, row));
  }

  replay(queue: string, ids: readonly string[], now: number): number {
    const row = this.#row(queue);
    const found = this.#dead(queue, ids);
    for (const [id, dead] of found) {
      this.#bury(queue, row, id, dead);
      const key: [string, number] = [queue, dead.number];
      if (!this.#tables.jobs.doesExist(key)) {
        this.#tables.jobs.putSync(key, { job: dead.job });
        row.jobs++;
      }
      const known = row.groups.find(({ name }) => name === dead.group);
      const group = known ?? { name: dead.group, cursor: row.head, holes: 0, leased: 0, later: 0, dead: 0 };
      if (!known) row.groups.push(group);
      new Round(this.#tables, queue, row, group, now).hold(dead.number, { attempts: 0, due: now });
    }
    this.#tables.queues.putSync(queue, row);
    return found.length;
  }

  purge(queue: string, ids: readonly string[]): number {
    const row = this.#row(queue);
    const found = this.#dead(queue, ids);
    for (const [id, dead] of found) this.#bury(queue, row, id, dead);
    this.#tables.queues.putSync(queue, row);
    return found.length;
  }

  #dead(queue: string, ids: readonly string[]): readonly (readonly [number, DeadRow])[] {
    return [...new Set(ids)].flatMap((id) => {
      const number = idOf(id);
      const row = number === undefined ? undefined : this.#tables.dead.get([queue, number]);
      return number !== undefined && row ? [[number, row] as const] : [];
    });
  }

  #bury(queue: string, row: QueueRow, id: number, { group }: DeadRow): void {
    this.#tables.dead.removeSync([queue, id]);
    const known = row.groups.find(({ name }) => name === group);
    if (known) known.dead--;
  }

  // ── rows ───────────────────────────────────────────────────────────────────

  #row(queue: string): QueueRow {
    return this.#tables.queues.get(queue) ?? { head: 0, jobs: 0, paused: false, lastDead: 0, groups: [] };
  }

  #group(queue: string, row: QueueRow, name: string): GroupRow {
    const known = row.groups.find((candidate) => candidate.name === name);
    if (known) return known;
    const kept = this.#tables.jobs.getKeysCount({ start: [queue, 0], end: [queue, END] });
    const made = { name, cursor: 0, holes: row.head - kept, leased: 0, later: 0, dead: 0 };
    row.groups.push(made);
    return made;
  }

  /** The job that a lease holds; undefined once it has ended. */
  #find(queue: string, name: string, lease: string, now: number): Held | undefined {
    const [, digits = "", nonce] = LEASE.exec(lease) ?? [];
    const number = idOf(digits);
    const row = this.#row(queue);
    const group = row.groups.find((candidate) => candidate.name === name);
    if (number === undefined || !group) return undefined;
    const state = this.#tables.states.get([queue, name, number]);
    if (!state || state.lease !== nonce || state.due <= now) return undefined;
    return { round: new Round(this.#tables, queue, row, group, now), row, number, state };
  }
}

interface Held {
  readonly round: Round;
  readonly row: QueueRow;
  readonly number: number;
  readonly state: StateRow;
}

function idOf(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function deadLetter(id: number, { group, job, attempts, time, reason }: DeadRow): DeadLetter {
  return { id: String(id), group, job, attempts, time, reason };
}
