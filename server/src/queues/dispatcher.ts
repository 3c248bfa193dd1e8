/**
 * Hands the jobs of one group of a queue to the consumers that this process has. It leases no more than they have room for, so
 * that whoever is fast gets more and nobody holds what another could do.
 */
import type { Lease } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { NamespaceQueue } from "../namespaces/namespace.ts";

/** How a dispatcher sees a consumer. */
export interface Consumer {
  /** How many jobs it has room for now. */
  readonly room: number;
  /** Takes a job; never throws. */
  take(lease: Lease): void;
}

export interface DispatcherOptions {
  readonly queue: string;
  readonly group: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** A call to the backbone failed; it is made again. */
  readonly failed: (operation: string, error: unknown) => void;
}

/** Jobs asked for at once: what one process takes before the others have their turn. */
const MOST_AT_ONCE = 64;
/** A hint may be lost, and what another process knows to be delayed is not known here. */
const POLL_MS = 2000;
const RETRY_MS = 1000;

export class Dispatcher {
  readonly #queue: NamespaceQueue;
  readonly #options: DispatcherOptions;
  readonly #consumers = new Set<Consumer>();
  #unwatch: Promise<() => Promise<void>> | undefined;
  #running: Promise<void> | undefined;
  /** Something may have become available since the last look. */
  #due = true;
  #cancelTimer: (() => void) | undefined;

  constructor(queue: NamespaceQueue, options: DispatcherOptions) {
    this.#queue = queue;
    this.#options = options;
  }

  get consumers(): number {
    return this.#consumers.size;
  }

  add(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.#unwatch ??= this.#watch();
    this.look();
  }

  /** No job for it from now on. Resolves when none is on its way to anybody, if it was the last. */
  async remove(consumer: Consumer): Promise<void> {
    this.#consumers.delete(consumer);
    if (this.#consumers.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const unwatch = this.#unwatch;
    this.#unwatch = undefined;
    await this.#running;
    await (
      await unwatch
    )?.();
  }

  /** A consumer has room again. */
  wake(): void {
    if (this.#due) this.#run();
  }

  /** Something may have become available. */
  look(): void {
    this.#due = true;
    this.#run();
  }

  #run(): void {
    if (this.#running || this.#consumers.size === 0) return;
    this.#running = this.#handOut().finally(() => {
      this.#running = undefined;
      // What came while the last look was ending.
      if (this.#due && this.#room() > 0) this.#run();
    });
  }

  /** Never rejects. */
  async #handOut(): Promise<void> {
    const { queue, group, leaseMs, failed } = this.#options;
    while (this.#due) {
      // Consumers get room one by one as a turn's answers come in, and share one call.
      await new Promise<void>((resolve) => this.#options.clock.soon(resolve));
      const limit = Math.min(MOST_AT_ONCE, this.#room());
      if (limit === 0) return;
      this.#due = false;
      try {
        const { jobs, redelivery } = this.#queue;
        const { leases, nextInMs } = await jobs.lease(queue, group, { limit, leaseMs, redelivery });
        for (const lease of leases) this.#give(lease);
        if (leases.length === limit) this.#due = true;
        else this.#lookIn(Math.min(POLL_MS, Math.max(1, nextInMs ?? POLL_MS)));
      } catch (error) {
        failed("lease", error);
        this.#lookIn(RETRY_MS);
      }
    }
  }

  #give(lease: Lease): void {
    let chosen: Consumer | undefined;
    for (const consumer of this.#consumers) {
      if (consumer.room > (chosen?.room ?? 0)) chosen = consumer;
    }
    if (!chosen) return this.#giveBack(lease);
    // The next of those with as much room is another.
    this.#consumers.delete(chosen);
    this.#consumers.add(chosen);
    chosen.take(lease);
  }

  /** Whoever it was meant for is gone. */
  #giveBack({ lease }: Lease): void {
    const { queue, group, failed } = this.#options;
    const { jobs, redelivery } = this.#queue;
    // If this fails, the lease ends by itself.
    jobs.fail(queue, group, lease, { redelivery, untried: true }).catch((error: unknown) => failed("give back", error));
  }

  #room(): number {
    let room = 0;
    for (const consumer of this.#consumers) room += consumer.room;
    return room;
  }

  #lookIn(ms: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#consumers.size === 0) return;
    this.#cancelTimer = this.#options.clock.after(ms, () => this.look());
  }

  async #watch(): Promise<() => Promise<void>> {
    try {
      return await this.#queue.jobs.watch(this.#options.queue, () => this.look());
    } catch (error) {
      this.#options.failed("watch", error);
      return async () => {};
    }
  }
}
