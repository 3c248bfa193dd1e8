/** Jobs on Kafka: a broker of its own for each, on the first core; and the floor, the bare client, which leases nothing. */
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { JobData, JobSystem } from "./job-system.ts";
import type { JobStore } from "./todoku.ts";

const PARTITIONS = 3;
const TOPIC = "bare";
const QUEUE = "jobs";
const ALL_REPLICAS = -1;

interface JobBroker extends AsyncDisposable {
  readonly urls: string[];
  readonly pids: readonly number[];
}

async function jobBroker(): Promise<JobBroker> {
  const { urls, servers, end } = await ownServers("kafka");
  const pids = servers.map(({ pid }) => pid ?? 0);
  for (const pid of pids) pin(pid, SERVER_CORE);
  return { urls: [...urls], pids, [Symbol.asyncDispose]: end };
}

export async function kafkaStore(): Promise<JobStore> {
  const { urls, pids, ...rest } = await jobBroker();
  return { settings: { type: "kafka", brokers: urls, partitions: PARTITIONS }, pids, ...rest };
}

/** Produces what a turn has in one call, all to one partition, and consumes it: nothing comes again, and nothing is ended. */
export const bareKafka: JobSystem = {
  name: "the client's produce and consume",
  start: async ({ handle }) => {
    const broker = await jobBroker();
    const common = { clientId: "bench", bootstrapBrokers: broker.urls };
    const admin = new Admin(common);
    await admin.createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas: 1 });
    await admin.close();
    const producer = new Producer(common);
    const consumer = new Consumer({ ...common, groupId: "bench" });
    const stream = await consumer.consume({ topics: [TOPIC], mode: "earliest", autocommit: true, maxWaitTime: 500 });
    let sent = 0;
    let handled = 0;
    stream.on("data", ({ value }) => {
      handled++;
      handle(JSON.parse(value.toString()) as JobData);
    });
    let waiting: { readonly job: JobData; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] =
      [];
    const flush = async (): Promise<void> => {
      const all = waiting;
      waiting = [];
      sent += all.length;
      const messages = all.map(({ job }) => ({
        topic: TOPIC,
        key: Buffer.from(QUEUE),
        value: Buffer.from(JSON.stringify(job)),
      }));
      try {
        await producer.send({ messages, acks: ALL_REPLICAS });
        for (const { resolve } of all) resolve();
      } catch (error) {
        for (const { reject } of all) reject(error);
      }
    };
    return {
      pids: broker.pids,
      enqueue: (job) =>
        new Promise<void>((resolve, reject) => {
          if (waiting.push({ job, resolve, reject }) === 1) queueMicrotask(() => void flush());
        }),
      empty: async () => handled >= sent,
      [Symbol.asyncDispose]: async () => {
        await stream.close();
        await consumer.close(true);
        await producer.close();
        await broker[Symbol.asyncDispose]();
      },
    };
  },
};
