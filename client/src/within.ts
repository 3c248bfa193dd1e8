import type { Clock } from "./clock.ts";

/** Resolves when `settled` does, whichever way, or after `ms`. */
export function within(clock: Clock, ms: number, settled: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    const done = (): void => {
      cancel();
      resolve();
    };
    settled.then(done, done);
  });
}
