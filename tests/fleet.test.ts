/**
 * Several gateways on one Redis, while gateways and servers are killed, frozen and cut off. `TODOKU_SEED` repeats a run's
 * choices; `TODOKU_FLEET_ROUNDS` strikes every fault so often.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needBroker } from "../scripts/brokers/need.ts";
import { check, report, type Violation } from "./checker.ts";
import {
  cutAfterStoring,
  failOver,
  flushEverySecond,
  freezeGateway,
  freezeMaster,
  killGateway,
  killMaster,
  killRedis,
  moveSlots,
  partition,
  type Fault,
} from "./fleet/faults.ts";
import { fleetRun, redisServers, type FleetRunOptions } from "./fleet/run.ts";

const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const ROUNDS = Number(process.env["TODOKU_FLEET_ROUNDS"] ?? 1);

const { skip } = await needBroker("redis");

const SIZE = { seed: SEED, publishers: 6, steady: 9, durable: 6, channels: 6 } as const;
const rounds = (...faults: readonly Fault[]): readonly Fault[] => Array.from({ length: ROUNDS }, () => faults).flat();

const LONE: FleetRunOptions = {
  ...SIZE,
  start: () => redisServers("redis", "a proxy"),
  backbone: ([url]) => ({ type: "redis-streams", url }),
  delivery: "exactly-once",
  faults: rounds(killGateway, cutAfterStoring, partition, freezeGateway, killRedis, cutAfterStoring),
};

async function violationsOf(options: FleetRunOptions, told: (line: string) => void): Promise<readonly Violation[]> {
  told(`TODOKU_SEED=${options.seed}`);
  const { events, acknowledged, handled } = await fleetRun(options);
  told(`${acknowledged} publishes acknowledged, ${handled} messages handled`);
  assert.ok(acknowledged > 0 && handled > 0);
  return check(events);
}

test("redis-streams on one server: nothing acknowledged is lost, nothing is handled twice", { skip }, async (t) => {
  const violations = await violationsOf(LONE, (line) => t.diagnostic(line));
  assert.deepEqual(violations, [], report(violations));
});

test(
  "redis-streams in a Cluster, confirmed by replicas: nothing is lost, nothing is handled twice",
  { skip },
  async (t) => {
    const violations = await violationsOf(
      {
        ...SIZE,
        start: () => redisServers("redis-cluster"),
        backbone: (cluster) => ({ type: "redis-streams", cluster, confirm: "replicas" }),
        delivery: "exactly-once",
        faults: rounds(killGateway, killMaster, freezeGateway, freezeMaster, moveSlots, killRedis),
      },
      (line) => t.diagnostic(line),
    );
    assert.deepEqual(violations, [], report(violations));
  },
);

test(
  "redis-streams behind Sentinels, confirmed by the replica: nothing is lost, nothing is handled twice",
  { skip },
  async (t) => {
    const violations = await violationsOf(
      {
        ...SIZE,
        start: () => redisServers("redis-sentinel"),
        backbone: (sentinels) => ({ type: "redis-streams", sentinels, master: "todoku", confirm: "replicas" }),
        delivery: "exactly-once",
        faults: rounds(failOver, killGateway, failOver),
      },
      (line) => t.diagnostic(line),
    );
    assert.deepEqual(violations, [], report(violations));
  },
);

test(
  "redis-streams answered from memory, flushed every second: nothing comes twice, and what is lost is lost in a fault",
  { skip },
  async (t) => {
    const violations = await violationsOf(
      {
        ...SIZE,
        durable: 0,
        start: () => redisServers("redis", "a proxy"),
        backbone: ([url]) => ({ type: "redis-streams", url, confirm: "memory" }),
        delivery: "at-most-once",
        namespace: { retention: { messages: 1_000_000 } },
        faults: rounds(flushEverySecond, killRedis, partition, killRedis),
      },
      (line) => t.diagnostic(line),
    );
    assert.deepEqual(violations, [], report(violations));
  },
);

test("redis-pubsub: nothing comes twice, and what is lost is lost in a fault", { skip }, async (t) => {
  const violations = await violationsOf(
    {
      ...SIZE,
      durable: 0,
      start: () => redisServers("redis", "a proxy"),
      backbone: ([url]) => ({ type: "redis-pubsub", url }),
      delivery: "at-most-once",
      faults: rounds(killGateway, partition, killRedis),
    },
    (line) => t.diagnostic(line),
  );
  assert.deepEqual(violations, [], report(violations));
});

test("redis-sharded: nothing comes twice, and what is lost is lost in a fault", { skip }, async (t) => {
  const violations = await violationsOf(
    {
      ...SIZE,
      durable: 0,
      start: () => redisServers("redis-cluster"),
      backbone: (cluster) => ({ type: "redis-sharded", cluster }),
      delivery: "at-most-once",
      faults: rounds(killGateway, killMaster, freezeMaster),
    },
    (line) => t.diagnostic(line),
  );
  assert.deepEqual(violations, [], report(violations));
});

test("control: the checker goes red when repeated keys are not recognised", { skip }, async (t) => {
  // What is swallowed is the answer to a publish most times, and not always.
  const faults = Array.from({ length: 12 }, () => cutAfterStoring);
  const namespace = { delivery: "at-least-once", dedupe: "0s" };
  const violations = await violationsOf({ ...LONE, faults, namespace }, (line) => t.diagnostic(line));
  assert.ok(
    violations.some(({ rule }) => rule === "I3"),
    report(violations),
  );
});

test("control: the checker goes red for a bus without a log that is held to losing nothing", { skip }, async (t) => {
  t.diagnostic(`TODOKU_SEED=${SEED}`);
  const { events } = await fleetRun({
    ...SIZE,
    durable: 0,
    start: () => redisServers("redis", "a proxy"),
    backbone: ([url]) => ({ type: "redis-pubsub", url }),
    delivery: "at-most-once",
    faults: [killGateway, partition],
  });
  // No fault excuses a loss any more.
  const violations = check(events.filter(({ kind }) => kind !== "fault" && kind !== "healed"));
  assert.ok(
    violations.some(({ rule }) => rule === "I9"),
    report(violations),
  );
});
