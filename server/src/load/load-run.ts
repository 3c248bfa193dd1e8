/**
 * One load on a deployment: subscribers connect, some of them publish evenly, and what arrives is counted and checked. It warms
 * up before it measures, and ends by itself.
 */
import { setTimeout as after } from "node:timers/promises";
import { Audience } from "./audience.ts";
import { centrifugal, type Answer } from "./dialect.ts";
import { sendEvenly } from "./even-schedule.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import type { Target } from "./load-connection.ts";
import { monotonicMicroseconds, stamped } from "./stamp.ts";

export interface LoadOptions {
  readonly target: Target;
  /** Of the WebSocket. */
  readonly path: string;
  /** The `connect` request, with the token if there is one. */
  readonly connect: object;
  readonly connections: number;
  readonly connectRate?: number;
  readonly channels: readonly string[];
  /** Messages a second, over all channels. */
  readonly rate: number;
  /** Of a message's data, as JSON. */
  readonly bytes: number;
  /** How long it measures, in ms. */
  readonly ms: number;
  /** Ends it early; what was measured until then is the result. */
  readonly signal: AbortSignal;
  /** Told how it goes: before it publishes, and every second. */
  progress(line: LoadProgress): void;
}

export interface LoadProgress {
  readonly connected: number;
  /** Connections a second. */
  readonly connectRate: number;
  /** Seconds since publishing began; absent before. */
  readonly second?: number;
  /** Deliveries a second, in the last second. */
  readonly deliveredRate?: number;
}

/** Counts are of the whole run, rates and latencies of the measured part. */
export interface LoadResult {
  readonly connected: number;
  readonly connectRate: number;
  /** Connections that were refused, or have ended, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  readonly ended: Readonly<Record<string, number>>;
  readonly published: number;
  readonly publishRate: number;
  /** Publishes that were refused, by reason. */
  readonly publishesRefused: Readonly<Record<string, number>>;
  readonly publishesUnanswered: number;
  readonly delivered: number;
  readonly deliveredRate: number;
  /** Deliveries of accepted publishes that never came. */
  readonly lost: number;
  /** Came again, or too late. */
  readonly repeated: number;
  /** Damaged, or published by somebody else. */
  readonly wrong: number;
  /** From the moment when a message was due to its arrival, in ms. */
  readonly latency: Latency;
  /** From the same moment to the publisher's answer, in ms. */
  readonly answer: Latency;
  /** Of one core, that this generator used: 0 to 1. */
  readonly generatorShare: number;
  readonly interrupted: boolean;
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const MOST_UNANSWERED = 2000;
const WARM_UP_MS = 1000;
/** Without any arrival for so long, the rest is lost. */
const SILENCE_MS = 2000;
const LONGEST_DRAIN_MS = 10_000;
const LOOK_MS = 20;
const PROGRESS_MS = 1000;

interface Reply {
  readonly id?: number;
  readonly error?: { readonly code: number; readonly message: string };
}

interface Unanswered {
  readonly channel: number;
  readonly due: number;
}

/** Resolves with the result, also after `signal`. Where nobody could connect, `connected` is 0 and `refused` says why. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const run = new LoadRun(options);
  try {
    return await run.result();
  } finally {
    await run.end();
  }
}

class LoadRun {
  readonly #options: LoadOptions;
  readonly #audience: Audience;
  readonly #refused: Record<string, number> = {};
  readonly #publishesRefused: Record<string, number> = {};
  readonly #unanswered = new Map<number, Unanswered>();
  readonly #answers = new LatencyHistogram();
  /** Accepted publishes of each channel. */
  readonly #accepted: number[];
  #connectRate = 0;
  #published = 0;
  #measuredFrom = Infinity;

  constructor(options: LoadOptions) {
    const { target, path, connect, connections, connectRate, channels, bytes, signal } = options;
    this.#options = options;
    this.#accepted = channels.map(() => 0);
    const dialect = centrifugal(connect);
    this.#audience = new Audience({
      target,
      dialect: { ...dialect, path, refusal: '"error":', answer: (line) => this.#take(line) },
      connections,
      channels,
      bytes,
      signal,
      ...(connectRate !== undefined && { connectRate }),
      refused: (reason) => count(this.#refused, plain(reason)),
    });
  }

  async result(): Promise<LoadResult> {
    const { signal, ms } = this.#options;
    const begun = performance.now();
    await this.#audience.gather();
    const connected = this.#audience.size;
    this.#connectRate = (connected / Math.max(1, performance.now() - begun)) * 1000;
    this.#options.progress({ connected, connectRate: this.#connectRate });
    const { tally } = this.#audience;
    // Their number at the end would miss those that ended meanwhile.
    const subscribers = this.#options.channels.map((_, i) => this.#audience.subscribersOf(i));
    const now = monotonicMicroseconds();
    const warmUp = Math.min(WARM_UP_MS, ms / 4);
    this.#measuredFrom = now + warmUp * 1000;
    tally.recordBetween(this.#measuredFrom, Infinity);
    const publishing = connected === 0 || signal.aborted ? Promise.resolve(0) : this.#publish(warmUp + ms);
    await this.#pause(warmUp);
    const window = { at: performance.now(), own: process.cpuUsage(), delivered: tally.delivered };
    const publishedBefore = this.#published;
    const watching = connected === 0 ? undefined : this.#watch(connected);
    await publishing;
    clearInterval(watching);
    const seconds = Math.max(1, performance.now() - window.at) / 1000;
    const own = process.cpuUsage(window.own);
    const deliveredRate = (tally.delivered - window.delivered) / seconds;
    const publishRate = (this.#published - publishedBefore) / seconds;
    const expected = (): number =>
      this.#accepted.reduce((sum, accepted, i) => sum + accepted * (subscribers[i] ?? 0), 0);
    await this.#drain(expected);
    return {
      connected,
      connectRate: this.#connectRate,
      refused: this.#refused,
      ended: tallied(this.#audience.ends),
      published: this.#published,
      publishRate,
      publishesRefused: this.#publishesRefused,
      publishesUnanswered: this.#unanswered.size,
      delivered: tally.delivered,
      deliveredRate,
      lost: Math.max(0, expected() - tally.delivered),
      repeated: tally.repeated,
      wrong: tally.wrong,
      latency: latencyOf(tally.latency),
      answer: latencyOf(this.#answers),
      generatorShare: (own.user + own.system) / 1e6 / seconds,
      interrupted: signal.aborted,
    };
  }

  end(): Promise<void> {
    return this.#audience.leave();
  }

  #publish(ms: number): Promise<number> {
    const { rate, channels, bytes, signal } = this.#options;
    const schedule = { rate, ms, channels, first: 0, signal, now: monotonicMicroseconds };
    return sendEvenly(schedule, (channel, sequence, due) => {
      if (this.#unanswered.size >= MOST_UNANSWERED) return false;
      const index = this.#published % channels.length;
      // The greeting has used the small numbers.
      const id = FIRST_ID + this.#published;
      const data = stamped({ sequence, due }, bytes);
      this.#published++;
      this.#unanswered.set(id, { channel: index, due });
      if (!this.#audience.sendFrom(index, JSON.stringify({ id, publish: { channel, data } }))) {
        this.#unanswered.delete(id);
        count(this.#publishesRefused, "nobody is connected any more who is subscribed to the channel");
      }
      return true;
    });
  }

  /** A line that is no message: an answer to a publish, or a ping. */
  #take(line: string): Answer | undefined {
    if (line === "{}") return { say: "{}" };
    const { id, error } = JSON.parse(line) as Reply;
    const asked = id === undefined ? undefined : this.#unanswered.get(id);
    if (id === undefined || !asked) return undefined;
    this.#unanswered.delete(id);
    if (error) {
      count(this.#publishesRefused, `${error.message} (${error.code})`);
      return {};
    }
    this.#accepted[asked.channel] = (this.#accepted[asked.channel] ?? 0) + 1;
    if (asked.due >= this.#measuredFrom) this.#answers.add(monotonicMicroseconds() - asked.due);
    return {};
  }

  #watch(connected: number): NodeJS.Timeout {
    const { tally } = this.#audience;
    let [second, last] = [0, tally.delivered];
    return setInterval(() => {
      second++;
      const deliveredRate = tally.delivered - last;
      last = tally.delivered;
      this.#options.progress({ connected, connectRate: this.#connectRate, second, deliveredRate });
    }, PROGRESS_MS);
  }

  async #drain(expected: () => number): Promise<void> {
    const { tally } = this.#audience;
    const begun = performance.now();
    let [last, changed] = [tally.delivered, begun];
    while (this.#unanswered.size > 0 || tally.delivered < expected()) {
      const now = performance.now();
      if (tally.delivered !== last) [last, changed] = [tally.delivered, now];
      if (now - changed > SILENCE_MS || now - begun > LONGEST_DRAIN_MS || this.#audience.size === 0) return;
      await after(LOOK_MS);
    }
  }

  /** Waits, unless it is to end. */
  async #pause(ms: number): Promise<void> {
    await after(ms, undefined, { signal: this.#options.signal }).catch(() => {});
  }
}

const FIRST_ID = 1_000_000;

function latencyOf(histogram: LatencyHistogram): Latency {
  return { p50: histogram.at(0.5) / 1000, p99: histogram.at(0.99) / 1000, max: histogram.max / 1000 };
}

/** A refusal in the protocol as a person would say it: `unknown channel (102)`. */
function plain(reason: string): string {
  const [, code, message] = /"code":(\d+),"message":"([^"]*)"/.exec(reason) ?? [];
  return code === undefined ? reason : `${message} (${code})`;
}

function count(counts: Record<string, number>, reason: string): void {
  counts[reason] = (counts[reason] ?? 0) + 1;
}

function tallied(reasons: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reason of reasons) count(counts, reason);
  return counts;
}
