/** Gathers the writes of one turn of the event loop into one transaction. */
import type { RootDatabase } from "lmdb";
import type { Clock } from "../../clock.ts";
import { BackboneError } from "../contract.ts";

interface Work {
  readonly run: () => void;
  readonly committed: () => void;
  readonly failed: (error: BackboneError) => void;
}

function workOf<T>(
  work: () => T,
  committed: ((result: T) => void) | undefined,
  resolve: (result: T) => void,
  reject: (error: BackboneError) => void,
): Work {
  let outcome: { readonly result: T } | { readonly refused: BackboneError };
  return {
    run: () => {
      try {
        outcome = { result: work() };
      } catch (error) {
        if (!(error instanceof BackboneError)) throw error;
        outcome = { refused: error };
      }
    },
    committed: () => {
      if ("refused" in outcome) return reject(outcome.refused);
      committed?.(outcome.result);
      resolve(outcome.result);
    },
    failed: reject,
  };
}

export class GroupCommit {
  readonly #root: RootDatabase;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #onBegin: () => void;
  #works: Work[] = [];

  /** `onBegin` is called at the beginning of each transaction. */
  constructor(root: RootDatabase, clock: Clock, name: string, onBegin: () => void = () => {}) {
    this.#root = root;
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
    const first = this.#works.length === 0;
    const done = new Promise<T>((resolve, reject) => this.#works.push(workOf(work, committed, resolve, reject)));
    if (first) this.#clock.soon(() => this.flush());
    return done;
  }

  /** As `run`, in a transaction of its own, after what came before. */
  alone<T>(work: () => T): Promise<T> {
    this.flush();
    return new Promise((resolve, reject) => this.#commit([workOf(work, undefined, resolve, reject)]));
  }

  flush(): void {
    const works = this.#works;
    if (works.length === 0) return;
    this.#works = [];
    this.#commit(works);
  }

  #commit(works: readonly Work[]): void {
    try {
      this.#root.transactionSync(() => {
        this.#onBegin();
        for (const { run } of works) run();
      });
    } catch (error) {
      const failure = this.#failure(error);
      if (failure.reason === "full" || works.length === 1) {
        for (const { failed } of works) failed(failure);
      } else {
        // One of them cannot be written, whatever it is: the others need not fail with it.
        const half = works.length >> 1;
        this.#commit(works.slice(0, half));
        this.#commit(works.slice(half));
      }
      return;
    }
    for (const { committed } of works) committed();
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
