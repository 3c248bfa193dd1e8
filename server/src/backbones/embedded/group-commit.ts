/** Gathers the writes of one turn of the event loop into one transaction. */
import type { Clock } from "../../clock.ts";
import { BackboneError } from "../contract.ts";

/** What transactions are made of. */
export interface Transactions {
  /** Throws what `work` throws; nothing of it is stored then. */
  transactionSync<T>(work: () => T): T;
}

/** One caller's part of a transaction. */
class Work<T> {
  readonly done: Promise<T>;
  readonly #work: () => T;
  readonly #committed: ((result: T) => void) | undefined;
  #outcome: { readonly result: T } | { readonly refused: BackboneError } | undefined;
  #resolve: (result: T) => void = () => {};
  #reject: (error: BackboneError) => void = () => {};

  constructor(work: () => T, committed?: (result: T) => void) {
    this.#work = work;
    this.#committed = committed;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Within the transaction. */
  run(): void {
    try {
      this.#outcome = { result: this.#work() };
    } catch (error) {
      if (!(error instanceof BackboneError)) throw error;
      this.#outcome = { refused: error };
    }
  }

  /** The transaction is on disk. */
  commit(): void {
    const outcome = this.#outcome;
    if (outcome === undefined) return;
    if ("refused" in outcome) return this.fail(outcome.refused);
    this.#committed?.(outcome.result);
    this.#resolve(outcome.result);
  }

  fail(error: BackboneError): void {
    this.#reject(error);
  }
}

type AnyWork = Pick<Work<unknown>, "run" | "commit" | "fail">;

export class GroupCommit {
  readonly #store: Transactions;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #onBegin: () => void;
  #works: AnyWork[] = [];

  /** `onBegin` is called at the beginning of each transaction. */
  constructor(store: Transactions, clock: Clock, name: string, onBegin: () => void = () => {}) {
    this.#store = store;
    this.#clock = clock;
    this.#name = name;
    this.#onBegin = onBegin;
  }

  /**
   * Runs `work` in the turn's transaction. Once that is on disk, calls `committed` (in the order of the works) and then
   * resolves. A work that throws a `BackboneError` before it has written anything is refused alone. If the disk is full,
   * nothing of the turn is stored and all its works reject.
   */
  run<T>(work: () => T, committed?: (result: T) => void): Promise<T> {
    const own = new Work(work, committed);
    if (this.#works.push(own) === 1) this.#clock.soon(() => this.flush());
    return own.done;
  }

  /** As `run`, in a transaction of its own, after what came before. */
  alone<T>(work: () => T): Promise<T> {
    this.flush();
    const own = new Work(work);
    this.#commit([own]);
    return own.done;
  }

  flush(): void {
    const works = this.#works;
    if (works.length === 0) return;
    this.#works = [];
    this.#commit(works);
  }

  #commit(works: readonly AnyWork[]): void {
    try {
      this.#store.transactionSync(() => {
        this.#onBegin();
        for (const work of works) work.run();
      });
    } catch (error) {
      const failure = this.#failure(error);
      if (failure.reason === "full" || works.length === 1) {
        for (const work of works) work.fail(failure);
      } else {
        // One of them cannot be written, whatever it is: the others need not fail with it.
        const half = works.length >> 1;
        this.#commit(works.slice(0, half));
        this.#commit(works.slice(half));
      }
      return;
    }
    for (const work of works) work.commit();
  }

  #failure(error: unknown): BackboneError {
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // LMDB answers a failed write of its pages with EIO (5), whatever the system said; a full disk is by far the likeliest.
    const full = code === 28 || code === 5 || code === -30792 || /MAP_FULL|No space/i.test(message);
    return full
      ? new BackboneError(
          "full",
          `[${this.#name}] no space left for the log (${message}). Free some space on its disk`,
          { cause: error },
        )
      : new BackboneError("unavailable", `[${this.#name}] the log could not be written (${message})`, { cause: error });
  }
}
