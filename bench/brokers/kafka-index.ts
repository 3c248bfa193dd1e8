/** What a gateway's index of Kafka's partitions costs: in memory, and in time until it is there again. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Consumer, Producer, type MessageToProduce } from "@platformatic/kafka";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import { partitionOf } from "../../server/src/backbones/kafka/partition-of.ts";
import { backboneSchema, createBackbone } from "../../server/src/backbones/registry.ts";
import type { Backbone } from "../../server/src/backbones/contract.ts";
import { systemClock, type Clock } from "../../server/src/clock.ts";
import { dataOf } from "../load-data.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { Measured } from "../scenario.ts";
import { present } from "./way.ts";

const PARTITIONS = 12;
const FILL_BATCH = 5000;
const WINDOW_MS = 600_000;
const PREFIX = "bench.";
const SNAPSHOT_MS = 60_000;

/** Now and then is at once: a snapshot is made as soon as it is due. */
const HASTY: Clock = { ...systemClock, after: (ms, done) => systemClock.after(ms >= 30_000 ? 100 : ms, done) };

/** What lies in the topic. */
export interface Content {
  readonly messages: number;
  readonly channels: number;
  /** Each has an idempotency key that is remembered. */
  readonly keys: boolean;
}

/** Fills a topic, then has the index built from the log, and again from the snapshot that the first has made. */
export async function indexOf(content: Content): Promise<readonly Measured[]> {
  const { urls, servers, end } = await ownServers("kafka");
  for (const { pid } of servers) pin(pid ?? 0, SERVER_CORE);
  try {
    const first = await open(urls);
    await present(first.log).heads(["index:0"]);
    await first.close();
    await fill(urls, content);
    const witness = await built(urls, content, HASTY);
    await snapshots(urls, content);
    await witness.backbone.close();
    const later = await built(urls, content, systemClock);
    await later.backbone.close();
    return [
      { load: "from the log", ...witness.measured },
      { load: "from a snapshot", ...later.measured },
    ];
  } finally {
    await end();
  }
}

async function built(
  urls: readonly string[],
  { messages, channels }: Content,
  clock: Clock,
): Promise<{ readonly backbone: Backbone; readonly measured: Omit<Measured, "load"> }> {
  const names = Array.from({ length: channels }, (_, i) => `index:${i}`);
  const before = heap();
  const begun = performance.now();
  const backbone = await open(urls, clock);
  const log = present(backbone.log);
  let heads = await log.heads(names).catch(() => undefined);
  // A call waits for a partition for five seconds only.
  while (!heads) heads = await log.heads(names).catch(() => undefined);
  const seconds = (performance.now() - begun) / 1000;
  const grown = heap() - before;
  const unknown = heads.filter(({ offset }) => offset === 0).length;
  const measured = {
    value: seconds,
    details: { "bytes per message": grown / messages, "bytes per channel": grown / channels },
    faults: unknown === 0 ? [] : [`${unknown} channels are not known`],
  };
  return { backbone, measured };
}

/** Resolves when there is a whole snapshot of each partition. */
async function snapshots(urls: readonly string[], { channels }: Content): Promise<void> {
  const names = Array.from({ length: channels }, (_, i) => `index:${i}`);
  const missing = new Set(names.map((name) => `${PREFIX}index/${partitionOf(name, PARTITIONS)}`));
  const consumer = new Consumer({ clientId: "bench", groupId: "bench", bootstrapBrokers: [...urls] });
  try {
    const stream = await consumer.consume({ topics: [`${PREFIX}INDEX`], mode: "earliest", autocommit: false });
    const late = setTimeout(() => stream.destroy(new Error("there are no snapshots")), SNAPSHOT_MS);
    for await (const { key } of stream) {
      // The last record of a snapshot is named by partition and slot; those before it have a number more.
      const [topic, partition, , ...more] = key.toString().split("/");
      if (more.length === 0) missing.delete(`${topic}/${partition}`);
      if (missing.size === 0) break;
    }
    clearTimeout(late);
  } finally {
    await consumer.close(true);
  }
}

async function fill(urls: readonly string[], content: Content): Promise<void> {
  const producer = new Producer({ clientId: "fill", bootstrapBrokers: [...urls], autocreateTopics: false });
  for (let i = 0; i < content.messages; i += FILL_BATCH) {
    const count = Math.min(FILL_BATCH, content.messages - i);
    await producer.send({ messages: Array.from({ length: count }, (_, j) => recordOf(i + j, content)), acks: 1 });
  }
  await producer.close();
}

function recordOf(i: number, { channels, keys }: Content): MessageToProduce {
  const channel = `index:${i % channels}`;
  const headers = new Map<Buffer, Buffer>();
  const texts = {
    "todoku-id": `m${i}`,
    "todoku-time": String(Date.now()),
    ...(keys && { "todoku-key": `k${i}`, "todoku-window": String(WINDOW_MS) }),
  };
  for (const [name, value] of Object.entries(texts)) headers.set(Buffer.from(name), Buffer.from(value));
  const partition = partitionOf(channel, PARTITIONS);
  const [key, value] = [Buffer.from(channel), Buffer.from(JSON.stringify(dataOf(i)))];
  return { topic: `${PREFIX}index`, partition, key, value, headers };
}

async function open(brokers: readonly string[], clock: Clock = systemClock): Promise<Backbone> {
  const settings = { type: "kafka", brokers: [...brokers], prefix: PREFIX, partitions: PARTITIONS };
  const backbone = await createBackbone("bench", backboneSchema.parse(settings), clock);
  await backbone.open([{ namespace: "index", facets: ["log"], retention: {} }]);
  return backbone;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
