/** Time, timers and randomness, passed in so that a client can run under a simulated clock. */
export interface Clock {
  /** Milliseconds since a fixed moment. It must go on while the machine sleeps: the age of a publish's key is measured with it. */
  now(): number;
  /** Calls back once after `ms`; the returned function cancels. */
  after(ms: number, callback: () => void): () => void;
  /** A number in [0, 1). */
  random(): number;
}

/** Longer timers would fire at once. */
const LONGEST_MS = 0x7fffffff;

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
