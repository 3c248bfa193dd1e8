/** A worker that talks to the backbone itself, with no gateway between: leases kept, handlers run, outcomes stored. */
import { CLIENT_ERRORS, ERRORS, TodokuError, type Json } from "@todoku/protocol";
import type { Lease } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { asRefusal, type Publisher } from "../namespaces/publisher.ts";
import { complete, type JobResult } from "./completion.ts";
import type { Consumer } from "./dispatcher.ts";
import type { Consumption, Dispatchers } from "./dispatchers.ts";

/** A job in the hands of a worker until its lease ends. The lease is renewed while the handler runs. */
export interface Job<Data = Json> {
  readonly queue: string;
  /** The same on every attempt. */
  readonly id: string;
  /** Milliseconds since 1970 at which it was accepted. */
  readonly time: number;
  readonly data: Data;
  /** 1 on the first. */
  readonly attempt: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** Aborted when the lease is lost, and by `close({ giveBack: true })`. */
  readonly signal: AbortSignal;
  /**
   * Publishes a result together with the end of the job: stored once, however often the job is attempted.
   *
   * @throws TodokuError 107, 102 for no channel of a configured namespace.
   */
  result(channel: string, data: Json, options?: { readonly tags?: Readonly<Record<string, string>> }): void;
}

export interface WorkerOptions {
  /** Every job comes to every group, and in it to one worker. Default `default`. */
  readonly group?: string;
  /** Most jobs handled at once. Default 1. */
  readonly concurrency?: number;
  /** How long a job is leased, in milliseconds. Default: what the namespace says. */
  readonly leaseMs?: number;
  /** Told of handlers that failed (453), leases that were lost (406), and what the backbone could not do. Default: a warning of the process. */
  readonly onError?: (error: TodokuError) => void;
}

/**
 * Without a handler it is iterated: the previous job counts as done when the next one is asked for, and as failed when the
 * loop is left by `break` or an error. The loop ends when the worker is closed; a loop that closes it does not wait for that, as
 * its own job is in hand until it asks for the next.
 */
export interface Worker<Data = Json> extends AsyncIterable<Job<Data>> {
  /** Takes no further jobs. Resolves when those in hand are done, or (`giveBack`, and what no loop has begun) given back. */
  close(options?: { readonly giveBack?: boolean }): Promise<void>;
}

export interface WorkerHost {
  readonly clock: Clock;
  readonly publisher: Publisher;
  readonly dispatchers: Dispatchers;
  /** @throws TodokuError 107, 102. */
  namespaceOf(channel: string): Namespace;
}

interface Running {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/** A job for a loop, and what its handling comes to. */
interface Offer {
  readonly job: Job<never>;
  readonly done: () => void;
  readonly failed: (cause: unknown) => void;
}

const RENEW_AT = 1 / 3;
const RETRY_MS = 200;
const REASON_CHARACTERS = 256;

export class QueueWorker implements Consumer, Worker<never> {
  readonly #host: WorkerHost;
  readonly #consumption: Consumption;
  readonly #concurrency: number;
  readonly #handler: ((job: Job<never>) => unknown) | undefined;
  readonly #onError: (error: TodokuError) => void;
  /** Jobs in hand: being handled, or with an outcome that is being stored. */
  readonly #running = new Set<Running>();
  #handling = 0;
  /** Jobs that no loop has begun, and loops that wait for one. */
  readonly #offers: Offer[] = [];
  readonly #loops: ((offer?: Offer) => void)[] = [];
  /** What a job fails with that nobody has begun. */
  readonly #untried = new TodokuError(CLIENT_ERRORS.aborted);
  #taking = true;

  constructor(
    host: WorkerHost,
    consumption: Consumption,
    { concurrency = 1, onError = (error) => process.emitWarning(error) }: WorkerOptions,
    handler?: (job: Job<never>) => unknown,
  ) {
    this.#host = host;
    this.#consumption = consumption;
    this.#concurrency = concurrency;
    this.#handler = handler;
    this.#onError = onError;
    host.dispatchers.add(consumption, this);
  }

  /** The next job may be on its way while an outcome is stored, but outcomes that cannot be stored do not pile up. */
  get room(): number {
    if (!this.#taking) return 0;
    return Math.max(0, Math.min(this.#concurrency - this.#handling, 2 * this.#concurrency - this.#running.size));
  }

  take(lease: Lease): void {
    const abort = new AbortController();
    const running = { abort, ended: this.#run(lease, abort) };
    this.#running.add(running);
    void running.ended.finally(() => {
      this.#running.delete(running);
      this.#host.dispatchers.wake(this.#consumption);
    });
  }

  async close({ giveBack = false }: { readonly giveBack?: boolean } = {}): Promise<void> {
    if (this.#taking) {
      this.#taking = false;
      this.#host.dispatchers.remove(this.#consumption, this);
      for (const loop of this.#loops.splice(0)) loop();
      for (const { failed } of this.#offers.splice(0)) failed(this.#untried);
    }
    const running = [...this.#running];
    if (giveBack) for (const { abort } of running) abort.abort(new TodokuError(CLIENT_ERRORS.aborted));
    await Promise.all(running.map(({ ended }) => ended));
    await this.#host.dispatchers.ended();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Job<never>, void, undefined> {
    for (;;) {
      const offer = await this.#nextOffer();
      if (!offer) return;
      let handled = false;
      try {
        yield offer.job;
        handled = true;
      } finally {
        if (handled) offer.done();
        else offer.failed(new Error("the loop was left"));
      }
    }
  }

  async #nextOffer(): Promise<Offer | undefined> {
    for (let offer = this.#offers.shift(); offer; offer = this.#offers.shift()) {
      // The lease may have been lost while no loop had time.
      if (!offer.job.signal.aborted) return offer;
    }
    return this.#taking ? new Promise((resolve) => this.#loops.push(resolve)) : undefined;
  }

  /** Resolves when a loop has done the job. */
  #offer(job: Job<never>): Promise<void> {
    return new Promise((done, failed) => {
      const offer = { job, done, failed };
      const loop = this.#loops.shift();
      if (loop) loop(offer);
      else if (this.#taking) this.#offers.push(offer);
      else failed(this.#untried);
    });
  }

  /** Never rejects. */
  async #run(lease: Lease, abort: AbortController): Promise<void> {
    const { queue, group, rules } = this.#consumption;
    const stopRenewing = this.#renew(lease, abort);
    const results: JobResult[] = [];
    try {
      // A handler that ignores the signal is not waited for: its lease is lost or given back.
      this.#handling++;
      try {
        await Promise.race([this.#handle(lease, abort.signal, results), aborted(abort.signal)]);
      } finally {
        this.#handling--;
        this.#host.dispatchers.wake(this.#consumption);
      }
      await this.#untilAnswered(abort.signal, () =>
        complete(rules, this.#host.publisher, { queue, group, lease: lease.lease }, results),
      );
    } catch (error) {
      await this.#failed(lease, abort.signal, error);
    } finally {
      stopRenewing();
    }
  }

  async #handle({ job, attempt }: Lease, signal: AbortSignal, results: JobResult[]): Promise<void> {
    const { id, time, data, tags } = job;
    const handle = this.#handler ?? ((given: Job<never>) => this.#offer(given));
    await handle({
      queue: this.#consumption.queue,
      id,
      time,
      data: JSON.parse(data) as never,
      attempt,
      ...(tags && { tags }),
      signal,
      result: (channel, result, options = {}) => {
        const namespace = this.#host.namespaceOf(channel);
        results.push({ namespace, channel, data: JSON.stringify(result), ...options });
      },
    });
  }

  async #failed({ lease, job }: Lease, signal: AbortSignal, cause: unknown): Promise<void> {
    const { queue, group, rules } = this.#consumption;
    const lost = (error: unknown): boolean => error instanceof TodokuError && error.code === ERRORS.leaseLost.code;
    if (lost(cause) || lost(signal.reason)) {
      this.#onError(new TodokuError(ERRORS.leaseLost, `${queue}: job ${job.id}`));
      return;
    }
    const untried = signal.aborted || cause === this.#untried;
    if (!untried) this.#onError(new TodokuError(CLIENT_ERRORS.handlerFailed, `${queue}: job ${job.id}`, { cause }));
    const reason = (cause instanceof Error ? cause.message : String(cause)).slice(0, REASON_CHARACTERS);
    try {
      await rules.jobs.fail(queue, group, lease, {
        redelivery: rules.redelivery,
        ...(untried ? { untried } : { reason: reason.toWellFormed() }),
      });
      // When it comes again is known to the backbone only.
      this.#host.dispatchers.look(this.#consumption);
    } catch (error) {
      // The lease ends by itself.
      this.#onError(asRefusal(error));
    }
  }

  /** Repeats what may pass, as long as the lease is held. */
  async #untilAnswered(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof TodokuError) || error.retry !== "retry" || signal.aborted) throw error;
        await new Promise<void>((resolve) => this.#host.clock.after(RETRY_MS, resolve));
      }
    }
  }

  /** Extends the lease until the returned function is called; aborts when it is lost. */
  #renew({ lease }: Lease, abort: AbortController): () => void {
    const { queue, group, rules, leaseMs } = this.#consumption;
    const { clock } = this.#host;
    let until = clock.now() + leaseMs;
    let cancel = (): void => {};
    const lose = (): void => abort.abort(new TodokuError(ERRORS.leaseLost));
    const later = (): void => {
      cancel = clock.after(leaseMs * RENEW_AT, () => void renew());
    };
    const renew = async (): Promise<void> => {
      later();
      const asked = clock.now();
      if (asked >= until) return lose();
      try {
        if ((await rules.jobs.extend(queue, group, lease, leaseMs)) === "fenced") lose();
        else until = asked + leaseMs;
      } catch (error) {
        this.#onError(asRefusal(error));
      }
    };
    later();
    return () => cancel();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
