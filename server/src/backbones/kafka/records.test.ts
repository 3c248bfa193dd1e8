import assert from "node:assert/strict";
import { test } from "node:test";
import { Producer } from "@platformatic/kafka";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { systemClock } from "../../clock.ts";
import { kafkaBackbone } from "./test-kafka.ts";
import { meaningOf, type PlacedRecord } from "./records.ts";

const broker = await needBroker("kafka");

function record(
  value: string | null,
  headers: Readonly<Record<string, string>> = {},
  key: string | null = "chat:1",
): PlacedRecord {
  return {
    offset: 7,
    time: 5,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const),
  };
}

test("a plain record is a message; its id and time come from its place", () => {
  assert.deepEqual(meaningOf(record('{"a":1}'), "chat", 3), {
    kind: "message",
    channel: "chat:1",
    message: { id: "3-7", time: 5, data: '{"a":1}' },
    windowMs: 600_000,
  });
});

test("what is no message is told apart, and holds up nothing", () => {
  const malformed = { kind: "malformed", channel: "chat:1" };
  for (const flawed of [
    record("{"),
    record(""),
    record(null),
    record("1", { "todoku-tags": "[1]" }),
    record("1", { "todoku-tags": '{"a":1}' }),
    record("1", { "todoku-info": '{"user":1}' }),
    record("1", { "todoku-time": "soon" }),
    record("1", { "todoku-window": "-1" }),
  ])
    assert.deepEqual(meaningOf(flawed, "chat", 3), malformed);
  for (const key of [null, "", "news", "other:1", "chat:", "$control", "chat:ü"])
    assert.deepEqual(meaningOf(record("1", {}, key), "chat", 3), { kind: "malformed" }, String(key));
});

test("what a transaction has not committed reaches nobody", { skip: broker.skip }, async () => {
  if (broker.skip !== false) return;
  const prefix = `transactions-${systemClock.uuid()}.`;
  const backbone = await kafkaBackbone(broker.urls, { prefix, partitions: 1 });
  const producer = new Producer({
    clientId: "test",
    bootstrapBrokers: [...broker.urls],
    idempotent: true,
    transactionalId: systemClock.uuid(),
  });
  try {
    await backbone.open([{ namespace: "chat", facets: ["log"], retention: {} }]);
    for (const [value, end] of [
      ["1", "abort"],
      ["2", "commit"],
      ["3", "abort"],
    ] as const) {
      const transaction = await producer.beginTransaction();
      const message = { topic: `${prefix}chat`, partition: 0, key: Buffer.from("chat:1"), value: Buffer.from(value) };
      await transaction.send({ messages: [message] });
      await transaction[end]();
    }
    const stored = await backbone.log?.append("chat:1", { id: "4", time: 0, data: "4" }, { retention: {} });
    const range = await backbone.log?.read("chat:1", { limit: 10 });
    assert.deepEqual(
      range?.messages.map(({ data }) => data),
      ["2", "4"],
    );
    assert.equal(range?.head, stored?.offset);
  } finally {
    await producer.close();
    await backbone.close();
  }
});
