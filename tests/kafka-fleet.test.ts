/**
 * Several gateways on a Kafka of three nodes with PostgreSQL behind it, while all of them are killed, frozen, moved and cut off. `TODOKU_SEED` repeats
 * a run's choices; `TODOKU_FLEET_ROUNDS` strikes every fault so often.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { needBroker } from "../scripts/brokers/need.ts";
import { ownServers } from "../scripts/brokers/own-servers.ts";
import { check, report } from "./checker.ts";
import type { Event } from "./events.ts";
import { freezeArchivist, judgeArchive, killArchivist, killPostgres } from "./fleet/archive.ts";
import { cutAfterStoring, partition, type Fault } from "./fleet/faults.ts";
import {
  carelessKafka,
  forgetHalf,
  freezeLeader,
  kafkaServers,
  killKafka,
  killLeader,
  longPartition,
  movePartitions,
  rollingRestart,
  uncleanElection,
} from "./fleet/kafka.ts";
import { fleetRun, type FleetRunOptions } from "./fleet/run.ts";

const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const ROUNDS = Number(process.env["TODOKU_FLEET_ROUNDS"] ?? 1);

const SCHEMA = "fleet";

const { skip } = await needBroker("kafka");
const { skip: noDatabase } = await needBroker("postgres");

const rounds = (...faults: readonly Fault[]): readonly Fault[] => Array.from({ length: ROUNDS }, () => faults).flat();

const KAFKA: Omit<FleetRunOptions, "faults"> = {
  seed: SEED,
  publishers: 6,
  steady: 9,
  durable: 6,
  channels: 6,
  start: () => kafkaServers(),
  backbone: (brokers) => ({ type: "kafka", brokers, partitions: 4 }),
  delivery: "exactly-once",
  namespace: { retention: { age: "1d" } },
};

async function eventsOf(options: FleetRunOptions, told: (line: string) => void): Promise<readonly Event[]> {
  told(`TODOKU_SEED=${options.seed}`);
  const { events, acknowledged, handled } = await fleetRun({ ...options, told });
  told(`${acknowledged} publishes acknowledged, ${handled} messages handled`);
  assert.ok(acknowledged > 0 && handled > 0);
  return events;
}

/** Whoever was told that the log has another history than before. */
function toldOfAnotherEpoch(events: readonly Event[]): readonly string[] {
  return events.flatMap((event) => (event.kind === "gap" && event.reason === "epoch" ? [event.subscriber] : []));
}

test(
  "kafka on three nodes and PostgreSQL behind it: nothing is lost, nothing is handled twice, the storage equals the log",
  { skip: skip === false ? noDatabase : skip },
  async (t) => {
    const own = await ownServers("postgres");
    t.after(() => own.end());
    const [postgres] = own.servers;
    const [database = ""] = own.urls;
    assert.ok(postgres);
    const faults = rounds(
      killArchivist,
      killLeader,
      cutAfterStoring,
      killPostgres(postgres),
      freezeLeader,
      cutAfterStoring,
      freezeArchivist,
      partition,
      rollingRestart,
      movePartitions,
      longPartition,
      killPostgres(postgres),
      killKafka,
      cutAfterStoring,
    );
    const options: FleetRunOptions = {
      ...KAFKA,
      faults,
      storage: { type: "postgres", url: database, schema: SCHEMA },
      judge: (end) => judgeArchive(end, { database, schema: SCHEMA, forget: () => forgetHalf(end.brokers.urls) }),
    };
    const events = await eventsOf(options, (line) => t.diagnostic(line));
    const violations = check(events);
    assert.deepEqual(violations, [], report(violations));
    assert.deepEqual(toldOfAnotherEpoch(events), [], "nothing is lost, and nobody is told that it was");
  },
);

test("control: the checker goes red when readers on kafka do not recognise repeated keys", { skip }, async (t) => {
  // A publish whose outcome is unknown is sent again; and what was under way is stored when the brokers can be reached again.
  const faults = [longPartition, longPartition];
  const namespace = { ...KAFKA.namespace, delivery: "at-least-once", dedupe: "0s" };
  const violations = check(await eventsOf({ ...KAFKA, faults, namespace }, (line) => t.diagnostic(line)));
  assert.ok(
    violations.some(({ rule }) => rule === "I3"),
    report(violations),
  );
});

test(
  "control: the checker names what is lost when the leader alone acknowledges, and its copy takes over without having it",
  { skip },
  async (t) => {
    t.diagnostic(`TODOKU_SEED=${SEED}`);
    const { events } = await fleetRun({
      ...KAFKA,
      faults: [uncleanElection],
      start: () => carelessKafka(4),
      backbone: (brokers) => ({ type: "kafka", brokers, partitions: 4, unsafe: true }),
      nodeFlags: ["--import", path.join(import.meta.dirname, "fleet", "leader-acks.ts")],
      told: (line) => t.diagnostic(line),
    });
    const violations = check(events);
    assert.ok(
      violations.some(
        ({ rule, detail }) => rule === "I1" && /was acknowledged at .* and is not in the log/.test(detail),
      ),
      report(violations),
    );
    // The gateways have seen it, and whoever handled what is gone is told. By what is gone and not by its epoch: all partitions of a topic
    // begin with the same one, and what a cut left of it is still true.
    const stored = new Set(
      events.flatMap((event) => (event.kind === "stored" ? [`${event.channel} ${event.key}`] : [])),
    );
    const deceived = events.flatMap((event) =>
      event.kind === "handled" && !stored.has(`${event.channel} ${event.key}`) ? [event.subscriber] : [],
    );
    const told = toldOfAnotherEpoch(events);
    assert.ok(deceived.length > 0);
    assert.deepEqual(
      deceived.filter((subscriber) => !told.includes(subscriber)),
      [],
      "everybody is told",
    );
  },
);
