/** How the queues stand that this process works with, asked for no more often than a store can bear. */
import type { QueueInfo } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";

export interface QueueSample {
  readonly namespace: Namespace;
  readonly queue: string;
  readonly info: QueueInfo;
  /** When it stood so; ms since 1970. */
  readonly time: number;
}

export interface QueueSamplerOptions {
  readonly clock: Clock;
  /** A store could not say how a queue stands. */
  readonly failed: (namespace: Namespace, error: unknown) => void;
}

/** Stores are asked once in so long, however often somebody wants to know. */
const FRESH_MS = 5000;
/** Whoever wants to know waits so long for a store, and is then told what was known before. */
const PATIENCE_MS = 1000;

export class QueueSampler {
  readonly #options: QueueSamplerOptions;
  /** Queue → whether nothing was in it when it was last looked at. */
  readonly #queues = new Map<Namespace, Map<string, boolean>>();
  #last: readonly QueueSample[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(options: QueueSamplerOptions) {
    this.#options = options;
  }

  /** Somebody here enqueues into the queue, or consumes from it. Clients may choose its name, so only so many are followed. */
  used(namespace: Namespace, queue: string): void {
    const most = namespace.queue?.sampled ?? 0;
    let known = this.#queues.get(namespace);
    if (!known) this.#queues.set(namespace, (known = new Map()));
    if (!known.has(queue) && known.size >= most) {
      const empty = [...known].find(([, nothing]) => nothing);
      if (!empty) return;
      known.delete(empty[0]);
    }
    known.set(queue, false);
  }

  /** How they stood at most a few seconds ago, as far as their stores answer. Never rejects. */
  async sample(): Promise<readonly QueueSample[]> {
    const { clock } = this.#options;
    if (!this.#stopped && !this.#looking && clock.now() - this.#askedAt >= FRESH_MS) {
      this.#askedAt = clock.now();
      this.#looking = this.#look().finally(() => (this.#looking = undefined));
    }
    if (this.#looking) {
      const { promise: patience, resolve } = Promise.withResolvers<void>();
      const cancel = clock.after(PATIENCE_MS, resolve);
      await Promise.race([this.#looking, patience]);
      cancel();
    }
    return this.#last;
  }

  /** The stores are about to be closed: they are not asked any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** One after the other. A store that does not answer is not asked about its other queues. */
  async #look(): Promise<void> {
    const samples: QueueSample[] = [];
    for (const [namespace, queues] of this.#queues) {
      try {
        for (const queue of queues.keys()) {
          if (this.#stopped) return;
          const info = await namespace.queue?.jobs.info(queue);
          if (!info) continue;
          queues.set(queue, info.jobs === 0 && info.groups.every(({ dead }) => dead === 0));
          samples.push({ namespace, queue, info, time: this.#options.clock.now() });
        }
      } catch (error) {
        if (!this.#stopped) this.#options.failed(namespace, error);
      }
    }
    this.#last = samples;
  }
}
