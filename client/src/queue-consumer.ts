/** One consumer: jobs in, handlers run, leases kept, outcomes out, over any number of connections. */
import {
  CLIENT_ERRORS,
  ERRORS,
  TodokuError,
  type DoneRequest,
  type Job as WireJob,
  type Json,
  type Push,
  type Requests,
  type ResultRequest,
} from "@todoku/protocol";
import type { CloseConsumer, ConsumeOptions, Consumer, ConsumerEvents, Job, JobHandler } from "./consumer.ts";
import { asError } from "./errors.ts";
import { Events } from "./events.ts";
import type { ClientPart, PartConnection, PartHost } from "./part.ts";
import { Token } from "./token.ts";

/** A job in hand. */
interface Work<Data> {
  readonly job: Job<Data>;
  readonly lease: string;
  readonly abort: AbortController;
  readonly results: ResultRequest[];
  /** Somebody handles it. */
  begun: boolean;
  /** When the lease ends, as far as is known here. */
  until: number;
  /** What is to be told of it, until that is answered. */
  outcome?: Outcome;
  cancel: () => void;
}

type Outcome = {
  [M in "done" | "fail"]: {
    readonly method: M;
    readonly more: Omit<Requests[M], keyof DoneRequest> & Partial<DoneRequest>;
  };
}["done" | "fail"];

/** A lease is renewed when this part of it is over, so that a lost renewal can be repeated. */
const RENEW_AT = 1 / 3;
const REASON_CHARACTERS = 256;

export class QueueConsumer<Data> implements Consumer<Data>, ClientPart {
  readonly queue: string;
  readonly group: string;
  readonly ready: Promise<void>;
  readonly #host: PartHost;
  readonly #handler: JobHandler<Data> | undefined;
  readonly #options: ConsumeOptions;
  readonly #token: Token;
  readonly #events = new Events<ConsumerEvents>();
  /** By lease. */
  readonly #work = new Map<string, Work<Data>>();
  /** Loops that wait for a job; called without one at the end. */
  #loops: ((work?: Work<Data>) => void)[] = [];
  #running = 0;
  #leaseMs = 0;
  #tries = 0;
  /** The connection that it consumes on, once that was answered. */
  #connection: PartConnection | undefined;
  #asked: PartConnection | undefined;
  #cancelAgain = (): void => {};
  #settleReady: { resolve(): void; reject(error: TodokuError): void } = { resolve() {}, reject() {} };
  #closing: Promise<void> | undefined;
  #end: TodokuError | undefined;
  #whenIdle = (): void => {};

  constructor(host: PartHost, queue: string, handler: JobHandler<Data> | undefined, options: ConsumeOptions) {
    this.#host = host;
    this.queue = queue;
    this.group = options.group ?? "default";
    this.#handler = handler;
    this.#options = options;
    this.#token = new Token(options.token, `the token of ${queue}`);
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.ready.catch(() => {});
    if (host.connection) this.join(host.connection);
  }

  on<Name extends keyof ConsumerEvents>(name: Name, listener: (payload: ConsumerEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  // ── from the client ────────────────────────────────────────────────────────

  /** A connection is there, or about to be. */
  join(connection: PartConnection): void {
    if (this.#asked === connection || this.#end) return;
    this.#asked = connection;
    void this.#ask(connection);
  }

  left(): void {
    this.#connection = undefined;
    this.#asked = undefined;
    this.#cancelAgain();
  }

  push({ queue, job }: Push): void {
    // A second consumer of the same is refused by the server: the jobs are the first one's.
    if (job && queue === this.queue && job.group === this.group && this.#connection) this.#take(job);
  }

  #take({ id, time, data, attempt, lease, lease_ms, info, tags }: WireJob): void {
    const abort = new AbortController();
    const results: ResultRequest[] = [];
    const job: Job<Data> = {
      queue: this.queue,
      id,
      time,
      data: data as Data,
      attempt,
      ...(info && { info }),
      ...(tags && { tags }),
      signal: abort.signal,
      result: (channel: string, data: Json, { tags } = {}) => {
        results.push({ channel, data, ...(tags && { tags }) });
      },
    };
    const until = this.#host.clock.now() + lease_ms;
    const work: Work<Data> = { job, lease, abort, results, begun: false, until, cancel: () => {} };
    this.#work.set(lease, work);
    if (this.#closing) return this.#tell(work, { method: "fail", more: { untried: true } });
    this.#renewLater(work);
    this.#pump();
  }

  /** The client is over. */
  fail(error: TodokuError): void {
    if (this.#end) return;
    this.#end = error;
    this.left();
    for (const work of this.#work.values()) this.#drop(work, error);
    for (const loop of this.#loops.splice(0)) loop();
    this.#settleReady.reject(error);
    this.#host.gone(this);
  }

  close({ giveBack = false }: CloseConsumer = {}): Promise<void> {
    const closed = (this.#closing ??= this.#close());
    for (const work of this.#work.values()) {
      if (work.outcome || (work.begun && !giveBack)) continue;
      work.abort.abort(new TodokuError(CLIENT_ERRORS.aborted));
      this.#tell(work, { method: "fail", more: { untried: true } });
    }
    return closed;
  }

  async #close(): Promise<void> {
    this.#connection?.ask("unconsume", this.#name(), () => {});
    for (const loop of this.#loops.splice(0)) loop();
    if (this.#work.size > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    this.fail(new TodokuError(CLIENT_ERRORS.clientClosed));
  }

  // ── consuming ──────────────────────────────────────────────────────────────

  async #ask(connection: PartConnection): Promise<void> {
    const { concurrency = 1, leaseMs } = this.#options;
    let token: string | undefined;
    try {
      token = await this.#token.current();
    } catch (error) {
      return this.#refused(connection, asError(error, CLIENT_ERRORS.tokenFailed, this.queue));
    }
    if (this.#asked !== connection) return;
    const resume = [...this.#work.keys()];
    const request = {
      ...this.#name(),
      in_flight: concurrency,
      ...(leaseMs !== undefined && { lease_ms: leaseMs }),
      ...(token !== undefined && { token }),
      ...(resume.length > 0 && { resume }),
    };
    connection.ask("consume", request, (error, result) => {
      if (this.#asked !== connection) return;
      if (error) return this.#refused(connection, error);
      this.#tries = 0;
      this.#connection = connection;
      this.#leaseMs = result.lease_ms;
      this.#goOn(resume, new Set(result.resumed));
      if (this.#closing) connection.ask("unconsume", this.#name(), () => {});
      this.#settleReady.resolve();
    });
  }

  /** Some of the jobs in hand may be somebody else's by now. */
  #goOn(asked: readonly string[], resumed: ReadonlySet<string>): void {
    for (const lease of asked) {
      const work = this.#work.get(lease);
      if (!work) continue;
      if (!resumed.has(lease)) this.#lost(work);
      else {
        work.until = this.#host.clock.now() + this.#leaseMs;
        if (work.outcome) this.#send(work, work.outcome);
      }
    }
  }

  #refused(connection: PartConnection, error: TodokuError): void {
    if (this.#asked !== connection) return;
    const renewable = error.retry === "refresh" && this.#token.renew();
    if (error.retry === "stop" || (error.retry === "refresh" && !renewable)) {
      this.#complain(error);
      return this.fail(error);
    }
    this.#cancelAgain = this.#host.clock.after(
      this.#host.backoff.delay(this.#tries++),
      () => void this.#ask(connection),
    );
  }

  // ── handling ───────────────────────────────────────────────────────────────

  #pump(): void {
    const { concurrency = 1 } = this.#options;
    for (const work of this.#work.values()) {
      if (work.begun || work.outcome) continue;
      if (this.#handler) {
        // A handler whose lease was lost counts as long as it runs.
        if (this.#running >= concurrency) return;
        void this.#run(work, this.#handler);
      } else {
        const loop = this.#loops.shift();
        if (!loop) return;
        work.begun = true;
        loop(work);
      }
    }
  }

  async #run(work: Work<Data>, handler: JobHandler<Data>): Promise<void> {
    work.begun = true;
    this.#running++;
    try {
      await handler(work.job);
      this.#succeeded(work);
    } catch (cause) {
      this.#failed(work, cause);
    } finally {
      this.#running--;
      this.#pump();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Job<Data>, void, undefined> {
    while (!this.#closing && !this.#end) {
      const work = await new Promise<Work<Data> | undefined>((resolve) => {
        this.#loops.push(resolve);
        this.#pump();
      });
      if (!work) break;
      let handled = false;
      try {
        yield work.job;
        handled = true;
      } finally {
        if (handled) this.#succeeded(work);
        else this.#failed(work, new Error("the loop was left"));
      }
    }
    const { code } = this.#end ?? CLIENT_ERRORS.clientClosed;
    if (this.#end && code !== CLIENT_ERRORS.clientClosed.code) throw this.#end;
  }

  #succeeded(work: Work<Data>): void {
    const { results } = work;
    this.#tell(work, { method: "done", more: results.length > 0 ? { publish: results } : {} });
  }

  #failed(work: Work<Data>, cause: unknown): void {
    if (work.abort.signal.aborted) return;
    this.#complain(new TodokuError(CLIENT_ERRORS.handlerFailed, `${this.queue}: job ${work.job.id}`, { cause }));
    const reason = (cause instanceof Error ? cause.message : String(cause)).slice(0, REASON_CHARACTERS).toWellFormed();
    this.#tell(work, { method: "fail", more: { reason } });
  }

  // ── leases ─────────────────────────────────────────────────────────────────

  #renewLater(work: Work<Data>): void {
    const { clock } = this.#host;
    const left = work.until - clock.now();
    work.cancel = clock.after(Math.max(left * RENEW_AT, Math.min(left, 1)), () => {
      if (work.until <= clock.now()) return this.#lost(work);
      this.#connection?.ask("extend", { ...this.#name(), lease: work.lease }, (error, result) => {
        if (this.#work.get(work.lease) !== work) return;
        if (!error) work.until = clock.now() + result.lease_ms;
        else if (error.code === ERRORS.leaseLost.code) this.#lost(work);
      });
      this.#renewLater(work);
    });
  }

  #lost(work: Work<Data>): void {
    const error = new TodokuError(ERRORS.leaseLost, `${this.queue}: job ${work.job.id}`);
    // What was told already may have been heard: then nothing is lost.
    if (!work.outcome) this.#complain(error);
    this.#drop(work, error);
    this.#pump();
  }

  /** Nothing more is to be told of it. */
  #drop(work: Work<Data>, why: TodokuError): void {
    work.cancel();
    this.#work.delete(work.lease);
    work.abort.abort(why);
    if (this.#work.size === 0) this.#whenIdle();
  }

  // ── outcomes ───────────────────────────────────────────────────────────────

  #tell(work: Work<Data>, outcome: Outcome): void {
    if (work.outcome || this.#work.get(work.lease) !== work) return;
    work.cancel();
    work.outcome = outcome;
    this.#send(work, outcome);
  }

  /** Without a connection it is sent on the next, if the lease still holds then. */
  #send(work: Work<Data>, outcome: Outcome): void {
    const connection = this.#connection;
    const { method, more } = outcome;
    connection?.ask(method, { ...this.#name(), lease: work.lease, ...more }, (error) => {
      if (this.#work.get(work.lease) !== work || work.outcome !== outcome) return;
      if (!error) return this.#drop(work, new TodokuError(CLIENT_ERRORS.aborted));
      if (error.code === ERRORS.leaseLost.code) return this.#lost(work);
      // A lost connection sends it again by itself.
      if (error.retry === "retry") {
        if (connection === this.#connection) {
          work.cancel = this.#host.clock.after(this.#host.backoff.delay(0), () => this.#send(work, outcome));
        }
        return;
      }
      this.#complain(error);
      if (method === "fail") return this.#drop(work, error);
      work.outcome = { method: "fail", more: { reason: error.message.slice(0, REASON_CHARACTERS) } };
      this.#send(work, work.outcome);
    });
  }

  #name(): { readonly queue: string; readonly group: string } {
    return { queue: this.queue, group: this.group };
  }

  #complain(error: TodokuError): void {
    this.#events.alarm("error", error, `an error of the consumer of ${this.queue}`);
  }
}
