/** A broker that was taken for dead, another leads in its place, and it answers again without knowing of that. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { leadersOf, untilKafkaIsWhole } from "../../../../scripts/brokers/kafka.ts";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { ownServers } from "../../../../scripts/brokers/own-servers.ts";
import type { Appended, Log } from "../contract.ts";
import { kafkaBackbone } from "./test-kafka.ts";

const { skip } = await needBroker("kafka-cluster");
const PREFIX = "old.";
const CHANNEL = "chat:1";

test(
  "what a leader that was replaced says of its log cuts nothing back, and is not where the log ends",
  { skip },
  async (t) => {
    const kafka = await ownServers("kafka-cluster");
    t.after(() => kafka.end());
    const backbone = await kafkaBackbone(kafka.urls, { prefix: PREFIX, partitions: 1 });
    t.after(() => backbone.close());
    await backbone.open();
    const { log } = backbone;
    assert.ok(log);
    const before = await append(log, 5);

    const [leader = 0] = await leadersOf(kafka.urls, `${PREFIX}chat`);
    const old = kafka.servers[leader - 1];
    const others = kafka.servers.filter((server) => server !== old);
    assert.ok(old);
    old.freeze();
    const after = await append(log, 5);
    assert.equal(after.epoch, before.epoch);
    // It hears of the new leader from nobody, and is the only one that answers.
    for (const server of others) server.freeze();
    old.thaw();
    await assert.rejects(log.heads([CHANNEL]), { reason: "unavailable" });
    for (const server of others) server.thaw();
    await untilKafkaIsWhole(kafka.urls);

    const { messages, ...range } = await log.read(CHANNEL, { limit: 100 });
    assert.deepEqual([range.epoch, range.forks], [before.epoch, undefined]);
    assert.equal(new Set(messages.map(({ data }) => data)).size, 10);
    assert.ok(range.head >= after.offset);
  },
);

/** Each until it is known to be stored; so some may be there twice. */
async function append(log: Log, count: number): Promise<Appended> {
  let last: Appended | undefined;
  const begun = Date.now();
  for (let i = 0; i < count; i++) {
    const message = { id: String(i), time: Date.now(), data: String(begun + i) };
    do last = await log.append(CHANNEL, message, { retention: {} }).catch(() => undefined);
    while (!last);
  }
  return last ?? assert.fail("nothing was appended");
}
