/**
 * Measures the costs that are named, prints them as JSON, and ends: `measure.ts SLOWDOWN|- COST…`. To be run with
 * `MEASURING_FLAGS`: bytes are counted while nothing is collected, so that they are counted and not estimated.
 */
import assert from "node:assert/strict";
import { createHook } from "node:async_hooks";
import { PerformanceObserver } from "node:perf_hooks";
import { TestGateway } from "../../server/src/test-gateway.ts";
import { ManualClock } from "../../server/src/manual-clock.ts";
import { COSTS, MEASURING_FLAGS, type CostName } from "./costs.ts";
import { PLANTED, type Slowdown } from "./planted.ts";
import { endOfTurn, Sent, subscribed } from "./subscribed.ts";

const SUBSCRIBERS = 500;
const WARM_UP_TURNS = 300;
const TURNS = 40;
/** The median of so many is taken: V8 still finishes earlier collections in the first. */
const ROUNDS = 5;
const HELD_ROUNDS = 6;
const DATA = "x".repeat(100);

const collections = new PerformanceObserver(() => {});
collections.observe({ entryTypes: ["gc"] });

const [planted = "-", ...names] = process.argv.slice(2);

class CountingClock extends ManualClock {
  timers = 0;

  override after(ms: number, callback: () => void): () => void {
    this.timers++;
    return super.after(ms, callback);
  }
}

const measures: Readonly<Record<CostName, () => Promise<number>>> = {
  deliveryBytes: () => perDelivery("live:hot", allocated),
  loggedDeliveryBytes: () => perDelivery("hot", allocated),
  asyncPerDelivery: () => perDelivery("live:hot", asyncMade),
  writes: async () => (await sentIn(10)).frames / SUBSCRIBERS,
  framesMade: async () => (await sentIn(1)).made,
  publishBytes,
  idleBytes: async () => (await heldByConnections()).idle,
  leftBytes: async () => (await heldByConnections()).left,
};

if (planted !== "-") PLANTED[planted as Slowdown].plant();
const measured: Partial<Record<CostName, number>> = {};
for (const name of names as CostName[]) {
  assert.ok(name in COSTS, `there is no cost ${name}`);
  measured[name] = await measures[name]();
}
console.log(JSON.stringify(measured));

/** What a turn with one publication to all costs, divided by the deliveries. */
async function perDelivery(channel: string, count: Count): Promise<number> {
  const { gateway, sent, clock } = await open(channel);
  const turn = async (): Promise<void> => {
    await gateway.publish(channel, DATA);
    await endOfTurn();
  };
  for (let i = 0; i < WARM_UP_TURNS; i++) await turn();
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    sent.frames = 0;
    const cost = await count(async () => {
      for (let i = 0; i < TURNS; i++) await turn();
    }, clock);
    assert.ok(sent.frames >= TURNS * SUBSCRIBERS, `${sent.frames} frames were sent`);
    costs.push(cost / (TURNS * SUBSCRIBERS));
  }
  return median(costs);
}

/** What is sent in a turn with `publications`. */
async function sentIn(publications: number): Promise<Sent> {
  const { gateway, sent } = await open("live:hot");
  const before = { frames: sent.frames, made: sent.made };
  await Promise.all(Array.from({ length: publications }, () => gateway.publish("live:hot", DATA)));
  await endOfTurn();
  sent.frames -= before.frames;
  sent.made -= before.made;
  assert.ok(sent.frames >= SUBSCRIBERS, `${sent.frames} frames were sent`);
  return sent;
}

async function publishBytes(): Promise<number> {
  const { gateway, sent } = await open("other", 0);
  const [publisher] = await subscribed(gateway, sent, 1, "other");
  const text = JSON.stringify({ id: 3, publish: { channel: "published", data: DATA } });
  const publishes = async (): Promise<void> => {
    const before = sent.frames;
    for (let i = 0; i < 500; i++) {
      publisher?.send(text);
      await endOfTurn();
      if (sent.frames <= before + i) await endOfTurn();
    }
    assert.ok(sent.frames >= before + 500, "every publish is answered");
  };
  await publishes();
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) costs.push((await allocated(publishes)) / 500);
  return median(costs);
}

async function heldByConnections(): Promise<{ readonly idle: number; readonly left: number }> {
  const { gateway, sent } = await open("live:hot", 0);
  const come = async (): Promise<() => Promise<void>> => {
    const connections = await subscribed(gateway, sent, SUBSCRIBERS, "live:hot");
    return async () => {
      for (const connection of connections) connection.end();
      await endOfTurn();
    };
  };
  const rounds: { readonly idle: number; readonly left: number }[] = [];
  for (let round = 0; round < HELD_ROUNDS; round++) {
    const before = held();
    const go = await come();
    const idle = (held() - before) / SUBSCRIBERS;
    await go();
    rounds.push({ idle, left: (held() - before) / SUBSCRIBERS });
  }
  // The first ones bring things into memory that are not theirs alone.
  const settled = rounds.slice(-3);
  return {
    idle: median(settled.map(({ idle }) => idle)),
    left: median(settled.map(({ left }) => left)),
  };
}

async function open(
  channel: string,
  subscribers = SUBSCRIBERS,
): Promise<{ readonly gateway: TestGateway; readonly sent: Sent; readonly clock: CountingClock }> {
  const clock = new CountingClock();
  const gateway = await TestGateway.start({ clock });
  const sent = new Sent();
  await subscribed(gateway, sent, subscribers, channel);
  return { gateway, sent, clock };
}

// ── counting ─────────────────────────────────────────────────────────────────

type Count = (work: () => Promise<void>, clock: CountingClock) => Promise<number>;

/** Bytes that the work allocates, on the heap and beside it. */
async function allocated(work: () => Promise<void>): Promise<number> {
  collect();
  await endOfTurn();
  collections.takeRecords();
  const before = inUse();
  await work();
  const bytes = inUse() - before;
  await endOfTurn();
  assert.equal(collections.takeRecords().length, 0, "memory was collected while it was counted");
  return bytes;
}

/** Promises, timers and callbacks of the event loop that the work makes. */
async function asyncMade(work: () => Promise<void>, clock: CountingClock): Promise<number> {
  let made = 0;
  const hook = createHook({ init: () => void made++ }).enable();
  const timers = clock.timers;
  await work();
  hook.disable();
  return made + clock.timers - timers;
}

function collect(): void {
  assert.ok(globalThis.gc, `run it with ${MEASURING_FLAGS.join(" ")}`);
  globalThis.gc();
}

function inUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that are in use after a collection. */
function held(): number {
  collect();
  return inUse();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
