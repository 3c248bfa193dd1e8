/** The backbones that the queue test is run on, and what can be broken in each. */
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import type { ServerProcess as BrokerProcess } from "../../scripts/brokers/server-process.ts";
import { FaultyProxy } from "../faulty-proxy.ts";
import {
  cutAfterStoring,
  freezeGateway,
  freezeMaster,
  killGateway,
  killMaster,
  killRedis,
  partition,
  type Fault,
} from "../fleet/faults.ts";
import { freezeLeaderOf, kafkaServers, killKafka, killLeaderOf, rollingRestart } from "../fleet/kafka.ts";

export interface Setup {
  /** At-most-once where nothing survives the process: what a run shows of it is more than it promises. */
  readonly delivery: "at-most-once" | "exactly-once";
  readonly gateways: number;
  /** Some workers reach the backbone with no gateway between. */
  readonly shared: boolean;
  readonly faults: readonly Fault[];
  /** Default: that of `trial`. */
  readonly crew?: { readonly producers: number; readonly processes: number; readonly workersPerProcess: number };
  /** Of the results, so that none of a run is missing at its end. Default: by count. */
  readonly retention?: Record<string, unknown>;
  open(): Promise<OpenStore>;
}

export interface OpenStore extends AsyncDisposable {
  /** The backbone's settings. */
  readonly settings: Record<string, unknown>;
  readonly servers: readonly BrokerProcess[];
  /** Where the gateways reach them, if a fault asks. */
  readonly urls: readonly string[];
  readonly proxies: readonly FaultyProxy[];
}

const inTheServer = (settings: Record<string, unknown>) => async (): Promise<OpenStore> => ({
  settings,
  servers: [],
  urls: [],
  proxies: [],
  [Symbol.asyncDispose]: async () => {},
});

const onKafka = (nodes: number) => async (): Promise<OpenStore> => {
  const brokers = await kafkaServers({}, nodes);
  // So small that a run sees the state written down and the log cut, many times.
  const settings = { type: "kafka", brokers: brokers.urls, partitions: 3, queue_snapshot: "256KiB" };
  return { ...brokers, settings };
};

/** Every gateway does what is told of every job: more processes than cores would mostly wait for each other. */
const SMALL_CREW = { producers: 6, processes: 4, workersPerProcess: 3 };

/** The topic in which queues take place. */
const QUEUES = "todoku.QUEUES";

export const SETUPS = {
  memory: {
    delivery: "at-most-once",
    gateways: 1,
    shared: false,
    faults: [freezeGateway, freezeGateway],
    open: inTheServer({ type: "memory" }),
  },
  embedded: {
    delivery: "exactly-once",
    gateways: 1,
    shared: false,
    faults: [killGateway, freezeGateway, killGateway, killGateway],
    open: inTheServer({ type: "embedded", path: "data" }),
  },
  redis: {
    delivery: "exactly-once",
    gateways: 3,
    shared: true,
    faults: [killGateway, cutAfterStoring, freezeGateway, killRedis, partition, cutAfterStoring, killRedis],
    open: async () => {
      const { servers, end } = await ownServers("redis");
      const proxy = await FaultyProxy.start(servers[0]?.port ?? 0);
      return {
        settings: { type: "redis-streams", url: proxy.url.replace("http", "redis") },
        servers,
        urls: [],
        proxies: [proxy],
        [Symbol.asyncDispose]: async () => {
          await proxy[Symbol.asyncDispose]();
          await end();
        },
      };
    },
  },
  "redis-cluster": {
    delivery: "exactly-once",
    gateways: 3,
    shared: true,
    faults: [killMaster, freezeGateway, freezeMaster, killGateway, killMaster],
    open: async () => {
      const { urls, servers, end } = await ownServers("redis-cluster");
      return {
        settings: { type: "redis-streams", cluster: urls, confirm: "replicas" },
        servers,
        urls,
        proxies: [],
        [Symbol.asyncDispose]: end,
      };
    },
  },
  kafka: {
    delivery: "exactly-once",
    gateways: 3,
    shared: true,
    faults: [killGateway, cutAfterStoring, killKafka, freezeGateway],
    retention: { age: "1d" },
    crew: SMALL_CREW,
    open: onKafka(1),
  },
  "kafka-cluster": {
    delivery: "exactly-once",
    gateways: 3,
    shared: true,
    faults: [
      killGateway,
      killLeaderOf(QUEUES),
      cutAfterStoring,
      freezeGateway,
      freezeLeaderOf(QUEUES),
      rollingRestart,
      partition,
      killKafka,
    ],
    retention: { age: "1d" },
    crew: SMALL_CREW,
    open: onKafka(3),
  },
} as const satisfies Readonly<Record<string, Setup>>;
