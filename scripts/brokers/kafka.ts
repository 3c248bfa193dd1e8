/** Apache Kafka (KRaft): one node; a cluster of three that loses nothing while one of them is away. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { Admin } from "@platformatic/kafka";
import type { Cluster, Recipe } from "./recipe.ts";
import { freePorts, ServerProcess } from "./server-process.ts";

const run = promisify(execFile);

const KAFKA = "4.4.0";
const SLF4J = "1.7.36";
/** Downloaded once per checkout, and kept where git does not look. */
const jars = path.join(import.meta.dirname, "..", "..", ".jars", `kafka-${KAFKA}`);

const PROGRAMS = { java: "openjdk-17-jre-headless", mvn: "maven" };
/** Small and quick to start: a test's broker has little to do. */
const JVM = ["-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
const START_MS = 90_000;

type Settings = Readonly<Record<string, string>>;

export const kafka: Recipe = {
  name: "kafka",
  programs: PROGRAMS,
  fetch: () => fetchJars(),
  start: (folder) => kafkaNodes(folder, 1),
};

export const kafkaCluster: Recipe = {
  name: "kafka-cluster",
  programs: PROGRAMS,
  fetch: () => fetchJars(),
  start: (folder) => kafkaNodes(folder, 3),
};

export interface NodeOptions {
  /** Goes into the configuration of each node. */
  readonly extra?: Settings;
  /** The port that clients are told to use instead of a node's own. */
  readonly advertise?: (port: number) => Promise<number>;
}

/** As many nodes as are asked for, each broker and controller at once. */
export async function kafkaNodes(
  folder: string,
  count: number,
  { extra = {}, advertise = async (port) => port }: NodeOptions = {},
): Promise<Cluster & { readonly internal: readonly string[] }> {
  const ports = await freePorts(3 * count);
  const voters = Array.from({ length: count }, (_, i) => `${i + 1}@127.0.0.1:${ports[count + i]}`).join(",");
  const replicas = String(count);
  const clusterId = Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64url");
  const nodes = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const [port = 0, controller = 0, internal = 0] = [ports[i], ports[count + i], ports[2 * count + i]];
      const advertised = await advertise(port);
      const node = kafkaNode(folder, `node-${i + 1}`, port, {
        "node.id": String(i + 1),
        listeners: `PLAINTEXT://127.0.0.1:${port},INTERNAL://127.0.0.1:${internal},CONTROLLER://127.0.0.1:${controller}`,
        "advertised.listeners": `PLAINTEXT://127.0.0.1:${advertised},INTERNAL://127.0.0.1:${internal}`,
        "controller.quorum.voters": voters,
        "default.replication.factor": replicas,
        "min.insync.replicas": String(Math.ceil((count + 1) / 2)),
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        ...extra,
      });
      // In one word: an id may begin with a hyphen.
      await kafkaTool("kafka.tools.StorageTool", "format", `--cluster-id=${clusterId}`, "-c", node.file);
      return { url: `127.0.0.1:${advertised}`, inside: `127.0.0.1:${internal}`, server: await node.server.start() };
    }),
  );
  // Where brokers meet, there is never a lock on the door.
  const internal = nodes.map(({ inside }) => inside);
  await untilKafkaIsWhole(internal);
  return { urls: nodes.map(({ url }) => url), internal, servers: nodes.map(({ server }) => server) };
}

/** Resolves when all of these brokers are there and every partition has all of its replicas in sync. */
export async function untilKafkaIsWhole(urls: readonly string[], withinMs = 60_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    if (await isWhole(urls).catch(() => false)) return;
    if (Date.now() > deadline) throw new Error(`Kafka on ${urls.join(", ")} is not whole after ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function isWhole(urls: readonly string[]): Promise<boolean> {
  const seen = await Promise.all(
    urls.map(async (url) => {
      const admin = new Admin({ clientId: "recipe", bootstrapBrokers: [url], retries: 0, timeout: 2000 });
      try {
        const topics = await admin.listTopics({ includeInternals: false });
        const metadata = await admin.metadata({ topics, forceUpdate: true });
        const partitions = [...metadata.topics.values()].flatMap((topic) => topic.partitions);
        return (
          metadata.brokers.size === urls.length &&
          partitions.every(({ leader, isr, replicas }) => leader >= 0 && isr.length === replicas.length)
        );
      } finally {
        await admin.close();
      }
    }),
  );
  return seen.every(Boolean);
}

/** The number of the broker that leads each partition; nodes are numbered from 1 on. */
export async function leadersOf(urls: readonly string[], topic: string): Promise<readonly number[]> {
  const admin = new Admin({ clientId: "recipe", bootstrapBrokers: [...urls], retries: 5, retryDelay: 200 });
  try {
    const metadata = await admin.metadata({ topics: [topic], forceUpdate: true });
    return metadata.topics.get(topic)?.partitions.map(({ leader }) => leader) ?? [];
  } finally {
    await admin.close();
  }
}

/** Runs one of Kafka's own tools. Resolves with what it printed. */
export function kafkaTool(tool: string, ...args: readonly string[]): Promise<string> {
  return kafkaToolOn("", tool, ...args);
}

/** As `kafkaTool`, with something on its standard input. */
export async function kafkaToolOn(input: string, tool: string, ...args: readonly string[]): Promise<string> {
  const quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
  const running = run("java", ["-cp", path.join(jars, "*"), ...JVM, quiet, tool, ...args], { timeout: START_MS });
  running.child.stdin?.end(input);
  const { stdout } = await running;
  return stdout;
}

function kafkaNode(
  folder: string,
  name: string,
  port: number,
  settings: Settings,
): { readonly server: ServerProcess; readonly file: string } {
  const own = path.join(folder, name);
  mkdirSync(own, { recursive: true });
  const all: Settings = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "INTERNAL",
    "log.dirs": path.join(own, "data"),
    "auto.create.topics.enable": "false",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "background.threads": "1",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "2000000",
    "group.initial.rebalance.delay.ms": "0",
    // A broker that is away is noticed sooner than by default, so that a test need not wait for it.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "3000",
    "controlled.shutdown.enable": "true",
    ...settings,
  };
  const file = path.join(own, "server.properties");
  writeFileSync(
    file,
    Object.entries(all)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(""),
  );
  const options = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
  const args = ["-cp", path.join(jars, "*"), ...JVM, options, "kafka.Kafka", file];
  return { file, server: new ServerProcess({ name, folder: own, command: "java", args, port, startMs: START_MS }) };
}

/** Maven resolves Kafka and what it needs. @throws Error with Maven's last words. */
async function fetchJars(): Promise<void> {
  if (existsSync(jars)) return;
  console.error(`fetching Apache Kafka ${KAFKA} …`);
  const folder = `${jars}.${process.pid}`;
  mkdirSync(folder, { recursive: true });
  const dependency = (group: string, name: string, version: string): string =>
    `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  writeFileSync(
    path.join(folder, "pom.xml"),
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>' +
      "<groupId>todoku</groupId><artifactId>brokers</artifactId><version>1</version><packaging>pom</packaging>" +
      `<dependencies>${dependency("org.apache.kafka", "kafka_2.13", KAFKA)}` +
      // The console producer and consumer, with which foreign programs are played.
      `${dependency("org.apache.kafka", "kafka-tools", KAFKA)}${dependency("org.slf4j", "slf4j-simple", SLF4J)}` +
      "</dependencies></project>\n",
  );
  try {
    await run("mvn", ["-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory=jars"], {
      cwd: folder,
      timeout: 300_000,
      maxBuffer: 16 * 1024 * 1024,
    });
    renameSync(path.join(folder, "jars"), jars);
  } catch (error) {
    const said = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
    throw new Error(`Maven cannot fetch Kafka ${KAFKA}: ${said.trim().split("\n").slice(-6).join("\n")}`, {
      cause: error,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
