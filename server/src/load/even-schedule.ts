/** When messages are due that are sent evenly, and which are. */

const TICK_MS = 1;
/** Within one tick no more is caught up than what this takes: the event loop must come to other things. */
const LONGEST_TICK_US = 50_000;

export interface Schedule {
  /** Messages a second, over all channels. */
  readonly rate: number;
  readonly ms: number;
  /** Channels take turns. */
  readonly channels: readonly string[];
  /** Number of the first message, counted over all channels. */
  readonly first: number;
  readonly signal?: AbortSignal;
  /** A moment in µs; the first message is due then. */
  now(): number;
}

/**
 * Calls `send` for each message that is due, late ones as soon as it can be. Resolves with how many were sent when the time is
 * over. `send` may answer `false`: it sends nothing now, and is asked again in the next tick.
 */
export function sendEvenly(
  { rate, ms, channels, first, signal, now }: Schedule,
  send: (channel: string, sequence: number, due: number) => boolean | void,
): Promise<number> {
  const begun = now();
  const end = begun + ms * 1000;
  let sent = 0;
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearInterval(timer);
      // It may have been stopped by `send` itself, whose message counts.
      setImmediate(() => resolve(sent));
    };
    const tick = (): void => {
      const ticked = now();
      const due = Math.floor(((Math.min(ticked, end) - begun) / 1e6) * rate);
      while (sent < due) {
        if (signal?.aborted) break;
        const number = first + sent;
        const channel = channels[number % channels.length] ?? "";
        if (send(channel, Math.floor(number / channels.length), begun + (sent / rate) * 1e6) === false) break;
        sent++;
        if (now() - ticked > LONGEST_TICK_US) break;
      }
      if (ticked >= end) stop();
    };
    const timer = setInterval(() => {
      try {
        tick();
      } catch (error) {
        clearInterval(timer);
        reject(error);
      }
    }, TICK_MS);
    signal?.addEventListener("abort", stop);
  });
}

/** How many messages each channel has, when so many were sent to all in turn. */
export function sentTo(channels: readonly string[], count: number): (channel: string) => number {
  const each = Math.floor(count / channels.length);
  const extra = new Set(channels.slice(0, count % channels.length));
  return (channel) => each + (extra.has(channel) ? 1 : 0);
}
