/** The backbones that the queue test is run on, and what can be broken in each. */
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import type { ServerProcess as RedisProcess } from "../../scripts/brokers/server-process.ts";
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

export interface Setup {
  /** At-most-once where nothing survives the process: what a run shows of it is more than it promises. */
  readonly delivery: "at-most-once" | "exactly-once";
  readonly gateways: number;
  /** Some workers reach the backbone with no gateway between. */
  readonly shared: boolean;
  readonly faults: readonly Fault[];
  open(): Promise<OpenStore>;
}

export interface OpenStore extends AsyncDisposable {
  /** The backbone's settings. */
  readonly settings: Record<string, unknown>;
  readonly redis: readonly RedisProcess[];
  readonly proxy?: FaultyProxy;
}

const inTheServer = (settings: Record<string, unknown>) => async (): Promise<OpenStore> => ({
  settings,
  redis: [],
  [Symbol.asyncDispose]: async () => {},
});

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
        redis: servers,
        proxy,
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
        redis: servers,
        [Symbol.asyncDispose]: end,
      };
    },
  },
} as const satisfies Readonly<Record<string, Setup>>;
