/** One way of giving messages to a broker, and how many a second it takes. */
import type { Message } from "../../server/src/backbones/contract.ts";
import { DATA_BYTES, dataOf } from "../load-data.ts";
import type { Contender, Measured } from "../scenario.ts";

export interface Way {
  readonly load: string;
  /** Gives the i-th message; resolves when the broker has taken it. */
  one(i: number): Promise<unknown>;
  /** What has arrived at the other end; absent where nobody waits for it. */
  readonly arrived?: Arrivals;
}

/** Given one by one, what each needs is started before it and ended behind it. */
export type Ways = () => AsyncGenerator<Way>;

export const CHANNELS = 50;
/** Messages that are given at once; the next as many follow when all are taken. */
export const UNDER_WAY = 200;
const WARM_UP_MS = 1500;
const MEASURED_MS = 1500;
const PATIENCE_MS = 20_000;

/** Messages at the other end: counted, and each compared with the one that was given to its channel next. */
export class Arrivals {
  count = 0;
  /** Not whole, on another's channel, or out of their order. */
  wrong = 0;
  readonly #last = new Map<string, number>();

  /** @param data The message's, as JSON. */
  take(channel: string, data: string): void {
    this.count++;
    // A text of digits only, the number behind zeros: see `dataOf`.
    const i = Number(data.slice(1, -1));
    const last = this.#last.get(channel) ?? i - CHANNELS;
    if (data.length !== DATA_BYTES || channel !== channelOf(i) || i !== last + CHANNELS) this.wrong++;
    this.#last.set(channel, i);
  }
}

export function waysOf(name: string, ways: Ways, versions?: Contender["versions"]): Contender {
  return {
    name,
    ...(versions && { versions }),
    measure: async () => {
      const measured: Measured[] = [];
      for await (const way of ways()) measured.push(await measure(way));
      return measured;
    },
  };
}

async function measure(way: Way): Promise<Measured> {
  const given = await during(WARM_UP_MS, way, 0);
  const [begun, used] = [performance.now(), process.cpuUsage()];
  const count = (await during(MEASURED_MS, way, given)) - given;
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(used);
  const missing = way.arrived ? given + count - way.arrived.count : 0;
  const wrong = way.arrived?.wrong ?? 0;
  return {
    load: way.load,
    value: count / seconds,
    details: { "CPU µs per message": (user + system) / count },
    faults: [
      ...(missing === 0 ? [] : [`${Math.abs(missing)} ${missing > 0 ? "lost" : "repeated"}`]),
      ...(wrong === 0 ? [] : [`${wrong} out of order or wrong`]),
    ],
  };
}

/** Resolves with the number behind the last one, when all have arrived or are given up. */
async function during(ms: number, { one, arrived }: Way, first: number): Promise<number> {
  const begun = performance.now();
  let next = first;
  while (performance.now() - begun < ms) {
    await Promise.all(Array.from({ length: UNDER_WAY }, () => one(next++)));
  }
  const isComing = (): boolean => arrived !== undefined && arrived.count < next;
  while (isComing() && performance.now() - begun < ms + PATIENCE_MS) await new Promise(setImmediate);
  return next;
}

export function messageOf(i: number): Message {
  return { id: `bench-${i}`, time: Date.now(), data: JSON.stringify(dataOf(i)) };
}

export function channelOf(i: number): string {
  return `c:${i % CHANNELS}`;
}

/** @throws Error. */
export function present<T>(facet: T | undefined): T {
  if (facet === undefined) throw new Error("the backbone lacks a facet");
  return facet;
}
