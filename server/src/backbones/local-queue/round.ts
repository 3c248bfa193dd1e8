/** One group of one queue within a transaction: what becomes of its jobs. Changes the rows of queue and group, and stores neither. */
import type { GroupInfo, Redelivery } from "../contract.ts";
import type { GroupRow, JobRow, QueueRow, QueueTables, StateRow } from "./tables.ts";

/** Beyond every number and time in a key. */
export const END: number = Number.MAX_SAFE_INTEGER;
/** What `info` looks at of what is overdue; beyond, it still counts as leased or delayed. */
const MOST_OVERDUE = 10_000;
const LEASE_EXPIRED = "the lease expired";

export class Round {
  readonly #tables: QueueTables;
  readonly #queue: string;
  readonly #row: QueueRow;
  readonly #group: GroupRow;
  readonly #now: number;

  constructor(tables: QueueTables, queue: string, row: QueueRow, group: GroupRow, now: number) {
    this.#tables = tables;
    this.#queue = queue;
    this.#row = row;
    this.#group = group;
    this.#now = now;
  }

  /** What is due now, in that order. */
  due(limit: number): readonly { readonly number: number; readonly state: StateRow }[] {
    const { states, dues } = this.#tables;
    const start: [string, string, number, number] = [this.#queue, this.#group.name, 0, 0];
    const found = dues.getRange({ start, end: [this.#queue, this.#group.name, this.#now + 1, 0], limit });
    return [...found].flatMap(({ key }) => {
      const state = states.get([this.#queue, this.#group.name, key[3]]);
      return state ? [{ number: key[3], state }] : [];
    });
  }

  nextDue(): number | undefined {
    const start: [string, string, number, number] = [this.#queue, this.#group.name, 0, 0];
    const first = this.#tables.dues.getRange({ start, end: [this.#queue, this.#group.name, END, 0], limit: 1 });
    for (const { key } of first) return key[2];
    return undefined;
  }

  /** The jobs beyond the cursor. */
  unseen(limit: number): readonly { readonly number: number; readonly job: JobRow }[] {
    const start: [string, number] = [this.#queue, this.#group.cursor + 1];
    const found = this.#tables.jobs.getRange({ start, end: [this.#queue, END], limit: Math.max(0, limit) });
    return [...found].map(({ key, value }) => ({ number: key[1], job: value }));
  }

  /** Moves the cursor to the next job. */
  pass(number: number): void {
    this.#group.holes -= number - this.#group.cursor - 1;
    this.#group.cursor = number;
  }

  hold(number: number, state: StateRow): void {
    this.#group[state.lease === undefined ? "later" : "leased"]++;
    this.#tables.states.putSync([this.#queue, this.#group.name, number], state);
    this.#tables.dues.putSync([this.#queue, this.#group.name, state.due, number], true);
  }

  release(number: number, { due, lease }: StateRow): void {
    this.#group[lease === undefined ? "later" : "leased"]--;
    this.#tables.states.removeSync([this.#queue, this.#group.name, number]);
    this.#tables.dues.removeSync([this.#queue, this.#group.name, due, number]);
  }

  /** A lease ended by itself. Whether the job is not available now: it has a delay before it, or was given up. */
  putOff(number: number, { attempts, due }: StateRow, redelivery: Redelivery): boolean {
    if (attempts >= redelivery.maxAttempts) {
      this.giveUp(number, attempts, LEASE_EXPIRED, redelivery);
      return true;
    }
    const available = due + delayAfter(attempts, redelivery);
    if (available <= this.#now) return false;
    this.hold(number, { attempts, due: available });
    return true;
  }

  giveUp(number: number, attempts: number, reason: string, { deadLetters }: Redelivery): void {
    const kept = this.#tables.jobs.get([this.#queue, number]);
    if (deadLetters && kept) {
      const group = this.#group.name;
      this.#row.lastDead++;
      this.#group.dead++;
      const row = { number, group, job: kept.job, attempts, time: this.#now, reason };
      this.#tables.dead.putSync([this.#queue, this.#row.lastDead], row);
    }
    this.finish(number);
  }

  /** This group is through with the job, which goes when all are. */
  finish(number: number): void {
    const wanted = this.#row.groups.some(
      ({ name, cursor }) => number > cursor || this.#tables.states.doesExist([this.#queue, name, number]),
    );
    if (wanted || !this.#tables.jobs.doesExist([this.#queue, number])) return;
    this.#tables.jobs.removeSync([this.#queue, number]);
    this.#row.jobs--;
  }

  info(): GroupInfo {
    const { name, cursor, holes, leased, later, dead } = this.#group;
    let overdueLeases = 0;
    let overdue = 0;
    for (const { state } of this.due(MOST_OVERDUE)) {
      overdue++;
      if (state.lease !== undefined) overdueLeases++;
    }
    const oldestTime = this.#oldestTime();
    return {
      group: name,
      ready: this.#row.head - cursor - holes + overdue,
      leased: leased - overdueLeases,
      delayed: later - (overdue - overdueLeases),
      dead,
      ...(oldestTime !== undefined && { oldestTime }),
    };
  }

  #oldestTime(): number | undefined {
    const { name, cursor } = this.#group;
    const begun = this.#tables.states.getRange({
      start: [this.#queue, name, 0],
      end: [this.#queue, name, END],
      limit: 1,
    });
    const [first] = [...begun].map(({ key }) => this.#tables.jobs.get([this.#queue, key[2]]));
    if (first) return first.job.time;
    const next = this.#tables.jobs.getRange({ start: [this.#queue, cursor + 1], end: [this.#queue, END], limit: 1 });
    for (const { value } of next) return value.job.time;
    return undefined;
  }
}

export function delayAfter(attempts: number, { backoff }: Redelivery): number {
  return Math.min(backoff.lastMs, backoff.firstMs * 2 ** Math.max(0, attempts - 1));
}
