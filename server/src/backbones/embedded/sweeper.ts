/** Removes what has grown too old, a bounded amount per transaction. */
import type { Clock } from "../../clock.ts";
import type { GroupCommit } from "./group-commit.ts";
import { isAnythingDue, sweep } from "./retention.ts";
import type { Store } from "./store.ts";

/** Between two looks at the store, when there was nothing left to do. */
const PAUSE_MS = 1000;
/** Rows removed at most per transaction, so that a turn of the event loop stays short. */
const MOST_ROWS = 2000;

export class Sweeper {
  readonly #store: Store;
  readonly #commits: GroupCommit;
  readonly #clock: Clock;
  #rows = MOST_ROWS;
  #stopped = false;
  #cancel: (() => void) | undefined;

  constructor(store: Store, commits: GroupCommit, clock: Clock) {
    this.#store = store;
    this.#commits = commits;
    this.#clock = clock;
  }

  start(ms: number = PAUSE_MS): void {
    this.#cancel = this.#clock.after(ms, () => void this.#sweep());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #sweep(): Promise<void> {
    const pause = await this.#sweepOnce();
    if (!this.#stopped) this.start(pause);
  }

  /** Resolves with how long to wait for the next. Never rejects. */
  async #sweepOnce(): Promise<number> {
    const now = this.#clock.now();
    if (!isAnythingDue(this.#store, now)) return PAUSE_MS;
    try {
      const more = await this.#commits.alone(() => sweep(this.#store, now, this.#rows));
      this.#rows = Math.min(MOST_ROWS, this.#rows * 2);
      return more ? 0 : PAUSE_MS;
    } catch {
      // Removing needs some space as well. On a full disk a smaller transaction may find it, and it is what makes room.
      if (this.#rows === 1) return PAUSE_MS;
      this.#rows = Math.max(1, this.#rows >> 3);
      return 0;
    }
  }
}
