/** Calls what may fail, such as the application's own functions, until it works. */
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";

export class Retrying {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #stopped = false;
  #endWait: (() => void) | undefined;

  constructor(clock: Clock, backoff: Backoff) {
    this.#clock = clock;
    this.#backoff = backoff;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Attempts are counted from 1. After each failure `again` decides, the next attempt follows after a delay that grows. Resolves
   * with what `act` gave, or with undefined when it was not to be tried again.
   */
  async until<T>(
    act: (attempt: number) => T | Promise<T>,
    again: (cause: unknown, attempt: number) => boolean,
  ): Promise<{ readonly value: T } | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return { value: await act(attempt) };
      } catch (cause) {
        if (!again(cause, attempt)) return undefined;
        if (!this.#stopped) await this.#wait(this.#backoff.delay(attempt - 1));
        if (this.#stopped) return undefined;
      }
    }
  }

  /** Ends the wait between attempts; after a failure there is no further one. */
  stop(): void {
    this.#stopped = true;
    this.#endWait?.();
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.#endWait = () => {
        cancel();
        resolve();
      };
    });
  }
}
