import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { Admin } from "@platformatic/kafka";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { freePorts } from "../../../../scripts/brokers/server-process.ts";
import { systemClock } from "../../clock.ts";
import { BackboneError, type Backbone, type NamespaceUse } from "../contract.ts";
import { kafkaBackbone } from "./test-kafka.ts";

const broker = await needBroker("kafka");
const brokers = broker.skip === false ? [...broker.urls] : [];
const DAY_MS = 86_400_000;

describe("the start of the Kafka backbone", { skip: broker.skip }, () => {
  const admin = new Admin({ clientId: "test", bootstrapBrokers: brokers.length > 0 ? brokers : ["127.0.0.1:9"] });
  const opened: Backbone[] = [];
  after(async () => {
    await Promise.all(opened.map((backbone) => backbone.close()));
    await admin.close();
  });

  const use = (retention: NamespaceUse["retention"] = {}): NamespaceUse[] => [
    { namespace: "chat", facets: ["log"], retention },
  ];

  /** Opens a backbone on a topic that is there already. */
  async function on(
    configs: Readonly<Record<string, string>>,
    {
      partitions = 3,
      settings = {},
      uses = use(),
      topic = "chat",
    }: { partitions?: number; settings?: object; uses?: NamespaceUse[]; topic?: string } = {},
  ): Promise<string> {
    const prefix = `start-${systemClock.uuid()}.`;
    await admin.createTopics({
      topics: [`${prefix}${topic}`],
      partitions,
      replicas: 1,
      configs: Object.entries({ "max.message.bytes": "987136", ...configs }).map(([name, value]) => ({ name, value })),
    });
    const backbone = await kafkaBackbone(brokers, { prefix, ...settings });
    opened.push(backbone);
    await backbone.open(uses);
    return prefix;
  }

  const refusals: readonly (readonly [string, Parameters<typeof on>, RegExp])[] = [
    [
      "another number of partitions",
      [{}, { partitions: 4 }],
      /chat has 4 partitions, and partitions is 3: .*Set partitions/,
    ],
    ["compaction", [{ "cleanup.policy": "compact" }], /chat has cleanup\.policy=compact: .*Set it to delete/],
    [
      "unclean elections",
      [{ "unclean.leader.election.enable": "true" }],
      /unclean\.leader\.election\.enable=true.*Set it to false/,
    ],
    [
      "more replicas in sync than there are",
      [{ "min.insync.replicas": "2" }],
      /min\.insync\.replicas=2 and 1 replicas.*Lower it/,
    ],
    [
      "a retention below the backbone's",
      [{ "retention.ms": "3600000" }],
      /retention\.ms=3600000, and messages are to be kept for 7d/,
    ],
    [
      "a retention below the namespace's",
      [{ "retention.ms": String(8 * DAY_MS) }, { uses: use({ ageMs: 9 * DAY_MS }) }],
      /retention\.ms=691200000, and messages are to be kept for 9d: .*Set it to 777600000/,
    ],
    ["messages that are too small", [{ "max.message.bytes": "1000" }], /max\.message\.bytes=1000: .*Set it to 987136/],
  ];
  for (const [what, given, words] of refusals) {
    test(`a topic with ${what} is refused, with what to do`, async () => {
      await assert.rejects(on(...given), (error: BackboneError) => {
        assert.equal(error.reason, "invalid");
        assert.match(error.message, /^\[kafka\] topic start-/);
        assert.match(error.message, words);
        return true;
      });
    });
  }

  const ofQueues: readonly (readonly [string, string, Readonly<Record<string, string>>, RegExp])[] = [
    [
      "compaction",
      "QUEUES",
      { "cleanup.policy": "compact" },
      /cleanup\.policy=compact: .*jobs lost\. Set it to delete/,
    ],
    ["an age", "QUEUES", { "retention.ms": "604800000" }, /retention\.ms=604800000: .*would be lost\. Set it to -1/],
    ["a size", "QUEUES", { "retention.bytes": "1000000" }, /retention\.bytes=1000000: .*would be lost\. Set it to -1/],
    [
      "the writers' clocks",
      "QUEUES",
      { "message.timestamp.type": "CreateTime" },
      /CreateTime: .*clocks.* Set it to LogAppendTime/,
    ],
    [
      "an age",
      "QUEUE-STATE",
      { "cleanup.policy": "compact,delete" },
      /compact,delete: jobs would be lost.* to compact/,
    ],
  ];
  for (const [what, topic, configs, words] of ofQueues) {
    test(`a topic ${topic} with ${what} is refused, with what to do`, async () => {
      const right: Readonly<Record<string, string>> =
        topic === "QUEUES" ? { "retention.ms": "-1", "message.timestamp.type": "LogAppendTime" } : {};
      const all = { ...right, ...configs };
      await assert.rejects(on(all, { topic, uses: [{ namespace: "jobs", facets: ["queue"], retention: {} }] }), words);
    });
  }

  test("unsafe turns a refusal into a warning", async () => {
    const told = new Promise<Error>((resolve) => {
      const hear = (warning: Error): void => {
        if (!warning.message.includes("unclean")) return;
        process.off("warning", hear);
        resolve(warning);
      };
      process.on("warning", hear);
    });
    await on({ "unclean.leader.election.enable": "true" }, { settings: { unsafe: true } });
    assert.match((await told).message, /\[kafka\] topic start-.*unclean\.leader\.election\.enable=true/);
  });

  test("topics are made as they must be, and kept as long as the namespace asks", async () => {
    const prefix = `start-${systemClock.uuid()}.`;
    const backbone = await kafkaBackbone(brokers, { prefix });
    opened.push(backbone);
    const retention = { ageMs: 30 * DAY_MS };
    await backbone.open([{ namespace: "chat", facets: ["bus", "log", "cursors", "queue"], retention }]);
    const topics = (await admin.listTopics()).filter((name) => name.startsWith(prefix)).toSorted();
    assert.deepEqual(
      topics,
      ["BUS", "CURSORS", "QUEUE-STATE", "QUEUES", "chat"].map((name) => prefix + name),
    );
    const [found] = await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: `${prefix}chat` }] });
    const configs = new Map(found?.configs.map(({ name, value }) => [name, value]));
    assert.equal(configs.get("retention.ms"), String(30 * DAY_MS));
    assert.equal(configs.get("message.timestamp.type"), "LogAppendTime");
  });

  test("without create_topics a topic that is missing is refused", async () => {
    const backbone = await kafkaBackbone(brokers, { prefix: `start-${systemClock.uuid()}.`, create_topics: false });
    await assert.rejects(
      backbone.open(use()),
      /there is no topic start-.*chat\. Make it with 3 partitions, or set create_topics/,
    );
  });

  test("partitions that are added to a running namespace stop it before a channel lies in two of them", async () => {
    const prefix = await on({});
    const backbone = opened.at(-1);
    const { log } = backbone ?? {};
    assert.ok(backbone && log);
    const message = { id: "1", time: 0, data: "1" };
    await log.append("chat:1", message, { retention: {} });
    await admin.createPartitions({ topics: [{ name: `${prefix}chat`, count: 4, assignments: [{ brokerIds: [1] }] }] });
    await assert.rejects(async () => {
      // The brokers tell it a moment later.
      for (let i = 0; i < 100; i++) await backbone.check();
    }, /chat has 4 partitions, and partitions is 3/);
    await assert.rejects(log.append("chat:1", message, { retention: {} }), /chat has 4 partitions/);
  });

  test("a topic that was deleted and made anew is another epoch, without a restart", async () => {
    const prefix = await on({});
    const { log, bus } = opened.at(-1) ?? {};
    assert.ok(log && bus);
    const message = { id: "1", time: 0, data: "1" };
    await bus.subscribe("chat:1", () => {});
    const first = await log.append("chat:1", message, { retention: {} });
    await admin.deleteTopics({ topics: [`${prefix}chat`] });
    await admin.createTopics({ topics: [`${prefix}chat`], partitions: 3, replicas: 1 });
    const deadline = Date.now() + 30_000;
    for (let epoch = first.epoch; epoch === first.epoch;) {
      assert.ok(Date.now() < deadline, "the epoch is the same after 30 s");
      const [head] = await log.heads(["chat:1"]).catch(() => []);
      epoch = head?.epoch ?? epoch;
    }
    const second = await log.append("chat:1", message, { retention: {} });
    assert.notEqual(second.epoch, first.epoch);
    const { messages } = await log.read("chat:1", { limit: 10 });
    assert.deepEqual(
      messages.map(({ offset }) => offset),
      [second.offset],
    );
  });

  test("whoever reads a partition says when keys are forgotten before their window is over", async () => {
    const prefix = await on({}, { settings: { dedupe_positions: 1000 } });
    const log = opened.at(-1)?.log ?? assert.fail();
    const publish = (i: number): Promise<unknown> =>
      log.append(
        "chat:1",
        { id: String(i), time: Date.now(), data: "1" },
        { retention: {}, dedupe: { key: String(i), windowMs: 600_000 } },
      );
    const warned = async (): Promise<Error> => {
      for (;;) {
        const [warning] = (await once(process, "warning")) as [Error];
        if (warning.message.includes(prefix) && /1,000 records within/.test(warning.message)) return warning;
      }
    };
    const [warning] = await Promise.all([warned(), ...Array.from({ length: 1002 }, (_, i) => publish(i))]);
    assert.match(warning.message, /Raise dedupe_positions/);
    const later = await kafkaBackbone(brokers, { prefix, dedupe_positions: 1000 });
    opened.push(later);
    await later.open(use());
    await Promise.all([warned(), later.log?.heads(["chat:1"])]);
  });

  test("where no Kafka is, the error says where, why and which key", async () => {
    const [port = 0] = await freePorts(1);
    const backbone = await kafkaBackbone([`127.0.0.1:${port}`]);
    await assert.rejects(backbone.open(), (error: BackboneError) => {
      assert.equal(error.reason, "unavailable");
      assert.match(
        error.message,
        new RegExp(`^\\[kafka\\] cannot connect to 127\\.0\\.0\\.1:${port} \\(.*ECONNREFUSED`),
      );
      assert.match(error.message, /Is Kafka running\? Set backbones\.kafka\.brokers$/);
      return true;
    });
  });
});
