/** What a gateway's index of Kafka's partitions costs: in memory, and in time until it is there again. */
import { Producer, type MessageToProduce } from "@platformatic/kafka";
import { ownServers } from "../scripts/brokers/own-servers.ts";
import { partitionOf } from "../server/src/backbones/kafka/partition-of.ts";
import { backboneSchema, createBackbone } from "../server/src/backbones/registry.ts";
import type { Backbone, Log } from "../server/src/backbones/contract.ts";
import { systemClock, type Clock } from "../server/src/clock.ts";
import { dataOf } from "./load-data.ts";
import { printTable } from "./table.ts";

const CHANNELS = 1000;
const PARTITIONS = 12;
const KEPT = 1_000_000;
const FILL_BATCH = 5000;
const WINDOW_MS = 600_000;

/** Now and then is at once: a snapshot is made as soon as it is due. */
const HASTY: Clock = { ...systemClock, after: (ms, done) => systemClock.after(ms >= 30_000 ? 100 : ms, done) };

export async function kafkaIndex(): Promise<void> {
  const { urls, end } = await ownServers("kafka");
  try {
    await index(urls);
  } finally {
    await end();
  }
}

const PREFIX = "bench.";

async function index(urls: readonly string[]): Promise<void> {
  const rows: string[][] = [];
  const first = await open(urls);
  await logOf(first).heads(["index:0"]);
  await fill(urls);
  const costs = async (title: string, clock: Clock): Promise<Backbone> => {
    const before = heap();
    const begun = performance.now();
    const backbone = await open(urls, clock);
    const channels = Array.from({ length: CHANNELS }, (_, i) => `index:${i}`);
    while (
      !(await logOf(backbone)
        .heads(channels)
        .catch(() => undefined))
    );
    const seconds = (performance.now() - begun) / 1000;
    const grown = heap() - before;
    rows.push([title, `${seconds.toFixed(1)} s`, `${Math.round(grown / KEPT)} B`]);
    return backbone;
  };
  const witness = await costs("from the log", HASTY);
  // Its snapshots are due at once.
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const second = await costs("from a snapshot", systemClock);
  printTable(
    [`the index of ${KEPT.toLocaleString("en")} messages with keys`, "until it is there", "memory per message"],
    rows,
  );
  await Promise.all([first.close(), witness.close(), second.close()]);
}

async function fill(urls: readonly string[]): Promise<void> {
  const producer = new Producer({ clientId: "fill", bootstrapBrokers: [...urls], autocreateTopics: false });
  for (let i = 0; i < KEPT; i += FILL_BATCH) {
    const messages = Array.from({ length: FILL_BATCH }, (_, j) => recordOf(i + j));
    await producer.send({ messages, acks: 1 });
  }
  await producer.close();
}

function recordOf(i: number): MessageToProduce {
  const channel = `index:${i % CHANNELS}`;
  const headers = new Map<Buffer, Buffer>();
  for (const [name, value] of Object.entries({
    "todoku-id": `m${i}`,
    "todoku-time": String(Date.now()),
    "todoku-key": `k${i}`,
    "todoku-window": String(WINDOW_MS),
  }))
    headers.set(Buffer.from(name), Buffer.from(value));
  const partition = partitionOf(channel, PARTITIONS);
  const [key, value] = [Buffer.from(channel), Buffer.from(JSON.stringify(dataOf(i)))];
  return { topic: `${PREFIX}index`, partition, key, value, headers };
}

async function open(brokers: readonly string[], clock: Clock = systemClock): Promise<Backbone> {
  const settings = { type: "kafka", brokers: [...brokers], prefix: PREFIX, partitions: PARTITIONS };
  const backbone = await createBackbone("bench", backboneSchema.parse(settings), clock);
  const facets = ["log"] as const;
  await backbone.open([{ namespace: "index", facets, retention: {} }]);
  return backbone;
}

function logOf({ log }: Backbone): Log {
  if (!log) throw new Error("the backbone has no log");
  return log;
}

function heap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
