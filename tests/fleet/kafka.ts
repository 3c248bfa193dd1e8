/** Kafka for a fleet: nodes, each behind a proxy, and what can be done to them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import { kafkaNodes, kafkaTool, leadersOf, untilKafkaIsWhole } from "../../scripts/brokers/kafka.ts";
import { provide, recipeOf } from "../../scripts/brokers/running.ts";
import type { ServerProcess as BrokerProcess } from "../../scripts/brokers/server-process.ts";
import { FaultyProxy } from "../faulty-proxy.ts";
import type { Fault, Stage } from "./faults.ts";
import type { Brokers } from "./run.ts";

const TOPIC = "todoku.fleet";

/** `extra` goes into the configuration of each node. */
export async function kafkaServers(extra: Readonly<Record<string, string>> = {}, nodes = 3): Promise<Brokers> {
  await provide(recipeOf("kafka-cluster"));
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-kafka-fleet-"));
  const proxies: FaultyProxy[] = [];
  const advertise = async (port: number): Promise<number> => {
    const proxy = await FaultyProxy.start(port);
    proxies.push(proxy);
    return Number(new URL(proxy.url).port);
  };
  const { urls, servers } = await kafkaNodes(folder, nodes, { extra, advertise }).catch(async (error: unknown) => {
    // What is listened on keeps the process of the test alive.
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    throw error;
  });
  return {
    urls,
    servers,
    proxies,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
      // What is in these folders is not looked at any more.
      await Promise.all(servers.map((server) => server.kill()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const killLeader: Fault = killLeaderOf(TOPIC);
export const freezeLeader: Fault = freezeLeaderOf(TOPIC);

export function killLeaderOf(topic: string): Fault {
  return {
    name: `SIGKILL of a leader of ${topic}`,
    strike: async (stage) => {
      const leader = await aLeader(stage, topic);
      await leader.kill();
      await stage.progress();
      await leader.start();
      await untilKafkaIsWhole(stage.urls);
    },
  };
}

export function freezeLeaderOf(topic: string): Fault {
  return {
    name: `SIGSTOP of a leader of ${topic} for 10 s`,
    strike: async (stage) => {
      const leader = await aLeader(stage, topic);
      leader.freeze();
      await after(10_000);
      leader.thaw();
      await untilKafkaIsWhole(stage.urls);
    },
  };
}

export const rollingRestart: Fault = {
  name: "a rolling restart of all brokers",
  strike: async ({ servers, urls }) => {
    for (const server of servers) {
      await server.stop();
      await server.start();
      await untilKafkaIsWhole(urls);
    }
  },
};

export const killKafka: Fault = {
  name: "SIGKILL of all brokers",
  strike: async ({ servers, urls }) => {
    await Promise.all(servers.map((server) => server.kill()));
    await Promise.all(servers.map((server) => server.start()));
    await untilKafkaIsWhole(urls);
  },
};

/** Longer than a gateway lets a publisher wait: it is told that the outcome is unknown, and what was under way is stored later. */
export const longPartition: Fault = {
  name: "a partition of 8 s between the gateways and the brokers",
  strike: async ({ proxies }) => {
    for (const proxy of proxies) proxy.breakOff();
    await after(8000);
    for (const proxy of proxies) proxy.mend();
  },
};

/**
 * The same, where the leader alone can acknowledge a message (broker 1), its only copy may become leader without having it (broker 2), and
 * the third broker only votes.
 */
export async function carelessKafka(partitions: number): Promise<Brokers> {
  const brokers = await kafkaServers();
  const admin = new Admin({ clientId: "fleet", bootstrapBrokers: [...brokers.urls], retries: 5, retryDelay: 200 });
  try {
    await admin.createTopics({
      topics: [TOPIC],
      assignments: Array.from({ length: partitions }, (_, partition) => ({ partition, brokers: [1, 2] })),
      configs: [
        { name: "unclean.leader.election.enable", value: "true" },
        { name: "min.insync.replicas", value: "1" },
        { name: "message.timestamp.type", value: "LogAppendTime" },
      ],
    });
    return brokers;
  } catch (error) {
    await brokers[Symbol.asyncDispose]();
    throw error;
  } finally {
    await admin.close();
  }
}

/** The leader goes on alone, and dies; the copy that has seen nothing of that takes over. */
export const uncleanElection: Fault = {
  name: "an unclean election",
  strike: async ({ servers: [leader, copy], urls, progress }) => {
    await copy?.kill();
    await progress();
    await leader?.kill();
    await copy?.start();
    await progress();
    await leader?.start();
    await untilKafkaIsWhole(urls);
  },
};

/** Every partition leaves one broker, and comes back to it. */
export const movePartitions: Fault = {
  name: "partitions move",
  strike: async ({ urls, random }) => {
    const nodes = [1, 2, 3];
    const away = random.pick(nodes);
    const others = nodes.filter((node) => node !== away);
    for (const replicas of [others, [away, ...others]]) {
      await reassign(urls, replicas);
      await untilKafkaIsWhole(urls);
    }
  },
};

/** Each partition forgets the older half of what it keeps, as if its retention had come to it. */
export async function forgetHalf(urls: readonly string[]): Promise<void> {
  const admin = new Admin({ clientId: "fleet", bootstrapBrokers: [...urls], retries: 5, retryDelay: 200 });
  try {
    const partitions = (await leadersOf(urls, TOPIC)).map((_, partitionIndex) => partitionIndex);
    const [topic] = await admin.listOffsets({
      topics: [{ name: TOPIC, partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp: -1n })) }],
    });
    const halves = topic?.partitions.map(({ partitionIndex, offset }) => ({
      partition: partitionIndex,
      offset: offset / 2n,
    }));
    await admin.deleteRecords({ topics: [{ name: TOPIC, partitions: halves ?? [] }] });
  } finally {
    await admin.close();
  }
}

async function reassign(urls: readonly string[], replicas: readonly number[]): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-reassign-"));
  try {
    const partitions = (await leadersOf(urls, TOPIC)).map((_, partition) => ({ topic: TOPIC, partition, replicas }));
    const file = path.join(folder, "plan.json");
    await writeFile(file, JSON.stringify({ version: 1, partitions }));
    const tool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    const server = ["--bootstrap-server", urls.join(",")];
    await kafkaTool(tool, ...server, "--reassignment-json-file", file, "--execute");
    const deadline = Date.now() + 30_000;
    while (!(await kafkaTool(tool, ...server, "--list")).includes("No partition reassignments")) {
      if (Date.now() > deadline) throw new Error("the partitions did not move within 30 s");
      await after(100);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function aLeader({ servers, urls, random }: Stage, topic: string): Promise<BrokerProcess> {
  const leader = servers[random.pick(await leadersOf(urls, topic)) - 1];
  if (!leader) throw new Error("no broker leads a partition");
  return leader;
}
