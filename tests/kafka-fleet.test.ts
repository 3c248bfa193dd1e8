/**
 * Several gateways on a Kafka of three nodes, while gateways and brokers are killed, frozen, moved and cut off. `TODOKU_SEED` repeats
 * a run's choices; `TODOKU_FLEET_ROUNDS` strikes every fault so often.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needBroker } from "../scripts/brokers/need.ts";
import { check, report, type Violation } from "./checker.ts";
import { cutAfterStoring, freezeGateway, killGateway, partition, type Fault } from "./fleet/faults.ts";
import {
  freezeLeader,
  kafkaServers,
  killKafka,
  killLeader,
  longPartition,
  movePartitions,
  rollingRestart,
} from "./fleet/kafka.ts";
import { fleetRun, type FleetRunOptions } from "./fleet/run.ts";

const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const ROUNDS = Number(process.env["TODOKU_FLEET_ROUNDS"] ?? 1);

const { skip } = await needBroker("kafka");

const rounds = (...faults: readonly Fault[]): readonly Fault[] => Array.from({ length: ROUNDS }, () => faults).flat();

const KAFKA: FleetRunOptions = {
  seed: SEED,
  publishers: 6,
  steady: 9,
  durable: 6,
  channels: 6,
  start: () => kafkaServers(),
  backbone: (brokers) => ({ type: "kafka", brokers, partitions: 4 }),
  delivery: "exactly-once",
  namespace: { retention: { age: "1d" } },
  faults: rounds(
    killGateway,
    killLeader,
    cutAfterStoring,
    freezeGateway,
    freezeLeader,
    cutAfterStoring,
    partition,
    rollingRestart,
    movePartitions,
    longPartition,
    killKafka,
    cutAfterStoring,
  ),
};

async function violationsOf(options: FleetRunOptions, told: (line: string) => void): Promise<readonly Violation[]> {
  told(`TODOKU_SEED=${options.seed}`);
  const { events, acknowledged, handled } = await fleetRun({ ...options, told });
  told(`${acknowledged} publishes acknowledged, ${handled} messages handled`);
  assert.ok(acknowledged > 0 && handled > 0);
  return check(events);
}

test("kafka on three nodes: nothing acknowledged is lost, nothing is handled twice", { skip }, async (t) => {
  const violations = await violationsOf(KAFKA, (line) => t.diagnostic(line));
  assert.deepEqual(violations, [], report(violations));
});

test("control: the checker goes red when readers on kafka do not recognise repeated keys", { skip }, async (t) => {
  // A publish whose outcome is unknown is sent again; and what was under way is stored when the brokers can be reached again.
  const faults = [longPartition, longPartition];
  const namespace = { ...KAFKA.namespace, delivery: "at-least-once", dedupe: "0s" };
  const violations = await violationsOf({ ...KAFKA, faults, namespace }, (line) => t.diagnostic(line));
  assert.ok(
    violations.some(({ rule }) => rule === "I3"),
    report(violations),
  );
});
