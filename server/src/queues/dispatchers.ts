/** The dispatchers of one process: one per queue, group and length of the leases that somebody here consumes. */
import type { Clock } from "../clock.ts";
import type { Namespace, NamespaceQueue } from "../namespaces/namespace.ts";
import { Dispatcher, type Consumer } from "./dispatcher.ts";

/** What a consumer asks for. */
export interface Consumption {
  readonly namespace: Namespace;
  readonly rules: NamespaceQueue;
  readonly queue: string;
  readonly group: string;
  readonly leaseMs: number;
}

export type DispatchFailed = (namespace: Namespace, operation: string, error: unknown) => void;

export class Dispatchers {
  readonly #clock: Clock;
  readonly #failed: DispatchFailed;
  readonly #dispatchers = new Map<string, Dispatcher>();
  readonly #ending = new Set<Promise<void>>();

  constructor(clock: Clock, failed: DispatchFailed) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** The consumer gets jobs as long as it has room. */
  add(consumption: Consumption, consumer: Consumer): void {
    const { namespace, rules, queue, group, leaseMs } = consumption;
    const key = keyOf(consumption);
    const dispatcher =
      this.#dispatchers.get(key) ??
      new Dispatcher(rules, {
        queue,
        group,
        leaseMs,
        clock: this.#clock,
        failed: (operation, error) => this.#failed(namespace, operation, error),
      });
    this.#dispatchers.set(key, dispatcher);
    dispatcher.add(consumer);
  }

  remove(consumption: Consumption, consumer: Consumer): void {
    const key = keyOf(consumption);
    const dispatcher = this.#dispatchers.get(key);
    if (!dispatcher) return;
    const ended = dispatcher.remove(consumer);
    if (dispatcher.consumers === 0) this.#dispatchers.delete(key);
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
  }

  /** A consumer has room again. */
  wake(consumption: Consumption): void {
    this.#dispatchers.get(keyOf(consumption))?.wake();
  }

  /** Something is known to become available. */
  look(consumption: Consumption): void {
    this.#dispatchers.get(keyOf(consumption))?.look();
  }

  /** Resolves when nothing is under way for those that are gone. */
  async ended(): Promise<void> {
    await Promise.all(this.#ending);
  }
}

function keyOf({ queue, group, leaseMs }: Consumption): string {
  return JSON.stringify([queue, group, leaseMs]);
}
