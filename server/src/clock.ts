/** Time, timers and randomness, passed in so that the whole gateway can run under a simulated clock. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after `ms`; the returned function cancels. The timer does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back once at the end of the present turn of the event loop. */
  soon(callback: () => void): void;
  /** A number in [0, 1). */
  random(): number;
  /** A new RFC 9562 UUID (version 4 form). */
  uuid(): string;
}

/** Node's timers hold 31 bits, and fire at once for more. A token may well be valid for a month. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const end = Date.now() + ms;
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      timer = setTimeout(
        () => (left > LONGEST_TIMER_MS ? wait(end - Date.now()) : callback()),
        Math.min(left, LONGEST_TIMER_MS),
      );
      timer.unref();
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
  soon: (callback) => {
    setImmediate(callback);
  },
  random: () => Math.random(),
  uuid: () => crypto.randomUUID(),
};
