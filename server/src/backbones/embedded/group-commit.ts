/** Gathers the writes of one turn of the event loop into one transaction. */
import type { RootDatabase } from "lmdb";
import type { Clock } from "../../clock.ts";
import { BackboneError } from "../contract.ts";

interface Work {
  readonly run: () => void;
  readonly committed: () => void;
  readonly failed: (error: BackboneError) => void;
}

export class GroupCommit {
  readonly #root: RootDatabase;
  readonly #clock: Clock;
  readonly #name: string;
  #works: Work[] = [];

  constructor(root: RootDatabase, clock: Clock, name: string) {
    this.#root = root;
    this.#clock = clock;
    this.#name = name;
  }

  /**
   * Runs `work` in the turn's transaction. Once that is on disk, calls `committed` (in the order of the works) and then
   * resolves. If the transaction fails, nothing of the turn is stored and all its works reject.
   */
  run<T>(work: () => T, committed?: (result: T) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      const first = this.#works.length === 0;
      this.#works.push({
        run: () => {
          result = work();
        },
        committed: () => {
          committed?.(result);
          resolve(result);
        },
        failed: reject,
      });
      if (first) this.#clock.soon(() => this.flush());
    });
  }

  flush(): void {
    const works = this.#works;
    if (works.length === 0) return;
    this.#works = [];
    try {
      this.#root.transactionSync(() => {
        for (const { run } of works) run();
      });
    } catch (error) {
      const failure = this.#failure(error);
      for (const { failed } of works) failed(failure);
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
