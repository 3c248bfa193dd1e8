/** What the rules of the contract's queue are written with. */
import assert from "node:assert/strict";
import type { StoreClock } from "../conformance-case.ts";
import type {
  Backbone,
  EnqueueOptions,
  Failure,
  GroupInfo,
  HandOut,
  Lease,
  LeaseOptions,
  Message,
  Queue,
  Redelivery,
} from "../contract.ts";

/** Longest time that a test waits for something that must happen. */
const PATIENCE_MS = 10_000;
/** Where the store's clock cannot be moved, leases and delays of the tests last so long and are waited for. */
export const SHORT_MS = 300;
export const MINUTE_MS = 60_000;
export const AT_ONCE: Redelivery = { maxAttempts: 3, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };

/** A queue of its own on two instances, and short ways to say things. */
export class QueueCase {
  readonly name: string;
  readonly queue: Queue;
  readonly otherQueue: Queue;
  readonly one: Backbone;
  readonly #clock: StoreClock;
  #count = 0;

  constructor(clock: StoreClock, one: Backbone, other: Backbone, name = `jobs:${crypto.randomUUID()}`) {
    this.#clock = clock;
    this.one = one;
    this.queue = present(one.queue);
    this.otherQueue = present(other.queue);
    this.name = name;
  }

  message(text: string): Message {
    return { id: `${this.name}-${this.#count++}`, time: this.now(), data: JSON.stringify(text) };
  }

  enqueue(text: string, options: EnqueueOptions = {}): ReturnType<Queue["enqueue"]> {
    return this.queue.enqueue(this.name, this.message(text), options);
  }

  handOut(options: Partial<LeaseOptions> = {}, group = "g"): Promise<HandOut> {
    return this.queue.lease(this.name, group, { limit: 10, leaseMs: MINUTE_MS, redelivery: AT_ONCE, ...options });
  }

  async lease(options: Partial<LeaseOptions> = {}, group = "g"): Promise<readonly Lease[]> {
    return (await this.handOut(options, group)).leases;
  }

  /** Leases one job, waiting for it to become available. */
  async leaseOne(options: Partial<LeaseOptions> = {}, group = "g"): Promise<Lease> {
    return eventually(
      async () => (await this.lease({ limit: 1, ...options }, group))[0],
      () => this.pass(1),
    );
  }

  fail(lease: string, failure: Partial<Failure> = {}, group = "g"): ReturnType<Queue["fail"]> {
    return this.queue.fail(this.name, group, lease, { redelivery: AT_ONCE, ...failure });
  }

  /** Lets the store's clock go on: at once where it can be moved, else by waiting. */
  async pass(ms: number): Promise<void> {
    if (this.#clock.advance) await this.#clock.advance(ms);
    else await new Promise((resolve) => setTimeout(resolve, ms));
  }

  now(): number {
    return this.#clock.now?.() ?? Date.now();
  }

  async group(name = "g"): Promise<GroupInfo | undefined> {
    return (await this.queue.info(this.name)).groups.find(({ group }) => group === name);
  }

  /** Counts of the group: ready, leased, delayed, dead. */
  async counts(name = "g"): Promise<readonly (number | undefined)[]> {
    const info = await this.group(name);
    return [info?.ready, info?.leased, info?.delayed, info?.dead];
  }

  /** Fails a job until it is given up. */
  async kill(text: string): Promise<void> {
    await this.enqueue(text);
    for (let attempt = 1; attempt <= AT_ONCE.maxAttempts; attempt++) {
      await this.fail((await this.leaseOne()).lease, { reason: `${text} ${attempt}` });
    }
  }
}

/** One obligation of the contract. */
export interface QueueRule {
  readonly title: string;
  readonly run: (at: QueueCase) => Promise<void>;
}

export function texts(leases: readonly Lease[]): string[] {
  return leases.map(({ job }) => JSON.parse(job.data) as string);
}

export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("there is none");
  return value;
}

/** Asks again until there is an answer, letting some time pass in between. */
export async function eventually<T>(
  ask: () => Promise<T | undefined>,
  pass: () => Promise<void> = () => new Promise((resolve) => setTimeout(resolve, 5)),
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new assert.AssertionError({ message: `did not happen within ${PATIENCE_MS} ms` });
    await pass();
  }
}
