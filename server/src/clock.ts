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

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  soon: (callback) => {
    setImmediate(callback);
  },
  random: () => Math.random(),
  uuid: () => crypto.randomUUID(),
};
