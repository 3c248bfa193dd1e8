/** A consumer of one connection: the jobs that its client has in hand. */
import { encodeJob, type Job } from "@todoku/protocol";
import type { Lease } from "../backbones/contract.ts";
import type { Consumer } from "../queues/dispatcher.ts";
import type { Consumption } from "../queues/dispatchers.ts";
import type { Session } from "./session.ts";

/** After a connection is lost its client has so long to come back and go on with its jobs. */
const GRACE_MS = 5000;

export interface SessionConsumerOptions extends Consumption {
  readonly inFlight: number;
}

export class SessionConsumer implements Consumer {
  readonly options: SessionConsumerOptions;
  readonly #session: Session;
  /** Lease → when it ends, as far as is known here; ms since 1970. */
  readonly #held: Map<string, number>;
  /** Those of them whose end is being stored. */
  readonly #ending = new Set<string>();
  #taking = false;

  /** `before` consumed the same on this connection earlier; its jobs are still in hand. */
  constructor(session: Session, options: SessionConsumerOptions, before?: SessionConsumer) {
    this.#session = session;
    this.options = options;
    this.#held = new Map(before === undefined ? [] : before.#held);
  }

  get taking(): boolean {
    return this.#taking;
  }

  get room(): number {
    if (!this.#taking || this.#session.ended || !this.#session.outbox.hasRoom()) return 0;
    const now = this.#session.clock.now();
    for (const [lease, until] of this.#held) if (until <= now) this.#forget(lease);
    const { inFlight } = this.options;
    const inHand = this.#held.size - this.#ending.size;
    // The next job may be on its way while an end is stored, but ends that cannot be stored do not pile up.
    return Math.max(0, Math.min(inFlight - inHand, 2 * inFlight - this.#held.size));
  }

  take({ lease, job, attempt }: Lease): void {
    const { queue, group, leaseMs, namespace } = this.options;
    const { id, time, data, info, tags } = job;
    this.holds(lease, leaseMs);
    this.#session.observer.job(namespace, group, "handed_out");
    const fields: Omit<Job, "data"> = { id, time, attempt, lease, lease_ms: leaseMs, group };
    this.#session.pushText(encodeJob(queue, data, { ...fields, ...(info && { info }), ...(tags && { tags }) }));
  }

  /** Whether the client was handed this lease here, or resumed it, and has not ended it. */
  knows(lease: string): boolean {
    return this.#held.has(lease);
  }

  holds(lease: string, leaseMs: number): void {
    this.#held.set(lease, this.#session.clock.now() + leaseMs);
  }

  /** The client is done with the job, which is being stored. */
  ending(lease: string): void {
    if (!this.#held.has(lease)) return;
    this.#ending.add(lease);
    this.#session.context.dispatchers.wake(this.options);
  }

  /** It could not be stored: the job is still in hand. */
  notEnded(lease: string): void {
    this.#ending.delete(lease);
  }

  /** The lease has ended, whatever its outcome. `look`: something is known to become available. */
  ended(lease: string, look = false): void {
    this.#forget(lease);
    const { dispatchers } = this.#session.context;
    if (look) dispatchers.look(this.options);
    else dispatchers.wake(this.options);
  }

  start(): void {
    this.#taking = true;
    this.#session.context.dispatchers.add(this.options, this);
  }

  /** No further jobs. */
  stop(): void {
    if (!this.#taking) return;
    this.#taking = false;
    this.#session.context.dispatchers.remove(this.options, this);
  }

  /** There is room in the connection's outbox again. */
  drained(): void {
    if (this.#taking) this.#session.context.dispatchers.wake(this.options);
  }

  /** The connection is over: its leases end soon, unless the client comes back. Never rejects. */
  async letGo(): Promise<void> {
    this.stop();
    const { namespace, rules, queue, group } = this.options;
    const { clock, observer } = this.#session;
    const now = clock.now();
    await Promise.all(
      [...this.#held].map(async ([lease, until]) => {
        try {
          if (until > now) await rules.jobs.extend(queue, group, lease, Math.min(GRACE_MS, until - now));
        } catch (error) {
          observer.backboneFailed(namespace, "extend", error);
        }
      }),
    );
  }

  #forget(lease: string): void {
    this.#held.delete(lease);
    this.#ending.delete(lease);
  }
}
