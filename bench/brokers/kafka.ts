/** The Kafka backbone, and `@platformatic/kafka` in a bare loop, each in this process, on a broker of its own on the first core. */
import { Admin, Consumer, Producer, type MessageToProduce } from "@platformatic/kafka";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import { kafkaBackbone } from "../../server/src/backbones/kafka/test-kafka.ts";
import { pin } from "../process-cost.ts";
import { Arrivals, channelOf, CHANNELS, messageOf, present, type Way } from "./way.ts";

const SERVER_CORE = 0;
const PARTITIONS = 3;
const TOPIC = "bare";
const APPEND = "kafka, append";
const ARRIVE = "kafka, append and arrive";
/** As the backbone asks for them. */
const ALL_REPLICAS = -1;
const POLL_MS = 500;

export async function* kafkaBackbones(): AsyncGenerator<Way> {
  await using kafka = await broker();
  const [publisher, subscriber] = [await kafkaBackbone(kafka.urls), await kafkaBackbone(kafka.urls)];
  await publisher.open();
  await subscriber.open();
  try {
    const log = present(publisher.log);
    const one = (i: number): Promise<unknown> => log.append(channelOf(i), messageOf(i), { retention: {} });
    yield { load: APPEND, one };
    let arrived = new Arrivals();
    for (let i = 0; i < CHANNELS; i++) {
      await present(subscriber.bus).subscribe(channelOf(i), (frame) => {
        if (frame.kind === "message") arrived.take(channelOf(i), frame.message.data);
      });
    }
    // What was still on its way is not counted.
    arrived = new Arrivals();
    yield { load: ARRIVE, one, arrived };
  } finally {
    await publisher.close();
    await subscriber.close();
  }
}

export async function* bareKafka(): AsyncGenerator<Way> {
  await using kafka = await broker();
  const common = { clientId: "bench", bootstrapBrokers: kafka.urls };
  const admin = new Admin(common);
  await admin.createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas: 1 });
  await admin.close();
  const producer = new Producer(common);
  const turns = new Turns(producer);
  const consumer = new Consumer({ ...common, groupId: "bench" });
  try {
    yield { load: APPEND, one: (i) => turns.send(i) };
    const stream = await consumer.consume({
      topics: [TOPIC],
      mode: "latest",
      autocommit: false,
      maxWaitTime: POLL_MS,
    });
    let arrived = new Arrivals();
    stream.on("data", ({ key, value }) => arrived.take(key.toString(), value.toString()));
    // The first to arrive shows that it has begun at the end; how many came meanwhile is not counted.
    await begun(turns, arrived);
    arrived = new Arrivals();
    yield { load: ARRIVE, one: (i) => turns.send(i), arrived };
    await stream.close();
  } finally {
    await consumer.close(true);
    await producer.close();
  }
}

/** Resolves when all that was sent of a round has arrived. */
async function begun(turns: Turns, arrived: Arrivals): Promise<void> {
  const ROUND = 3 * CHANNELS;
  for (;;) {
    const due = arrived.count + ROUND;
    await Promise.all(Array.from({ length: ROUND }, (_, i) => turns.send(i)));
    const deadline = performance.now() + 2 * POLL_MS;
    while (arrived.count < due && performance.now() < deadline) await new Promise(setImmediate);
    if (arrived.count === due) return;
  }
}

interface Waiting {
  readonly i: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What is sent in one turn goes in one call, as anybody would write it. */
class Turns {
  readonly #producer: Producer;
  #waiting: Waiting[] = [];

  constructor(producer: Producer) {
    this.#producer = producer;
  }

  send(i: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ i, resolve, reject }) === 1) queueMicrotask(() => void this.#send());
    });
  }

  async #send(): Promise<void> {
    const all = this.#waiting;
    this.#waiting = [];
    const messages = all.map(({ i }) => sameRecord(i));
    try {
      await this.#producer.send({ messages, acks: ALL_REPLICAS });
      for (const { resolve } of all) resolve();
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }
}

const [ID, TIME] = [Buffer.from("todoku-id"), Buffer.from("todoku-time")];

/** What the backbone writes: key, value and headers. */
function sameRecord(i: number): MessageToProduce {
  const { id, time, data } = messageOf(i);
  const headers = new Map([
    [ID, Buffer.from(id)],
    [TIME, Buffer.from(String(time))],
  ]);
  const [key, value] = [Buffer.from(channelOf(i)), Buffer.from(data)];
  return { topic: TOPIC, key, value, headers, timestamp: BigInt(time) };
}

async function broker(): Promise<AsyncDisposable & { readonly urls: string[] }> {
  const { urls, servers, end } = await ownServers("kafka");
  for (const { pid } of servers) pin(pid ?? 0, SERVER_CORE);
  return { urls: [...urls], [Symbol.asyncDispose]: end };
}
