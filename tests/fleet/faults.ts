/** What can be done to a fleet and its brokers, Redis for one, one thing at a time. Each resolves when all is whole again. */
import { execFile } from "node:child_process";
import { setTimeout as after } from "node:timers/promises";
import { promisify } from "node:util";
import type { ServerProcess as BrokerProcess } from "../../scripts/brokers/server-process.ts";
import type { FaultyProxy } from "../faulty-proxy.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { ServerProcess } from "../server-process.ts";

const run = promisify(execFile);

export interface Stage {
  readonly gateways: readonly ServerProcess[];
  readonly servers: readonly BrokerProcess[];
  /** Where the gateways reach them. */
  readonly urls: readonly string[];
  /** Between the gateways and the servers. */
  readonly proxies: readonly FaultyProxy[];
  readonly random: SeededRandom;
  /** Resolves when a publish was acknowledged again. */
  progress(): Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly strike: (stage: Stage) => Promise<void>;
}

export const killGateway: Fault = {
  name: "SIGKILL of a gateway",
  strike: async ({ gateways, random }) => {
    const gateway = random.pick(gateways);
    await gateway.kill();
    await gateway.restart();
  },
};

/** Long enough for its clients to leave, so that it comes back as a zombie. */
export const freezeGateway: Fault = {
  name: "SIGSTOP of a gateway",
  strike: async ({ gateways, random }) => {
    const { program } = random.pick(gateways);
    program.signal("SIGSTOP");
    await after(3000);
    program.signal("SIGCONT");
  },
};

export const killMaster: Fault = {
  name: "SIGKILL of a master",
  strike: async (stage) => {
    const master = await aMaster(stage);
    await master.kill();
    // The others notice, and promote its replica; only then does it come back. Nothing is waited for that is published: whoever
    // wants a replica to confirm gets no answer until then.
    await untilPromoted(stage.servers.filter((node) => node !== master));
    await master.start();
    await untilWhole(stage.servers);
  },
};

export const freezeMaster: Fault = {
  name: "SIGSTOP of a master for 10 s",
  strike: async (stage) => outlive(stage.servers, await aMaster(stage)),
};

/** Freezes the master that is given, long enough for its replica to be promoted. */
export async function outlive(redis: readonly BrokerProcess[], master: BrokerProcess): Promise<void> {
  master.freeze();
  await after(10_000);
  master.thaw();
  await untilWhole(redis);
}

export const killRedis: Fault = {
  name: "SIGKILL of all Redis",
  strike: async ({ servers: redis }) => {
    await Promise.all(redis.map((node) => node.kill()));
    await Promise.all(redis.map((node) => node.start()));
    await untilWhole(redis);
  },
};

/** From here on Redis answers before its append-only file is flushed. */
export const flushEverySecond: Fault = {
  name: "appendfsync everysec",
  strike: async ({ servers: redis }) => {
    await Promise.all(redis.map((node) => cli(node, "config", "set", "appendfsync", "everysec")));
    await Promise.all(redis.map((node) => cli(node, "config", "rewrite")));
  },
};

export const moveSlots: Fault = {
  name: "slots move",
  strike: async ({ servers: redis }) => {
    await untilWhole(redis);
    const [from, to] = (await masters(redis)).map(({ id }) => id);
    const port = String(redis[0]?.port);
    const counts = ["--cluster-from", from ?? "", "--cluster-to", to ?? "", "--cluster-slots", "300", "--cluster-yes"];
    await run("redis-cli", ["--cluster", "reshard", `127.0.0.1:${port}`, ...counts]);
    await untilWhole(redis);
  },
};

export const cutAfterStoring: Fault = {
  name: "a cut after a broker stored and before the gateway heard",
  strike: async ({ proxies }) => {
    // A server that leads nothing at the moment has nothing to say.
    await Promise.race(proxies.map((proxy) => proxy.cutAfterAnswer()));
    for (const proxy of proxies) proxy.relent();
  },
};

export const partition: Fault = {
  name: "a partition between the gateways and the brokers",
  strike: async ({ proxies }) => {
    for (const proxy of proxies) proxy.breakOff();
    await after(2000);
    for (const proxy of proxies) proxy.mend();
  },
};

/** Behind Sentinels: they promote the replica, and the old master comes back as the new one's replica. */
export const failOver: Fault = {
  name: "SIGKILL of the master behind Sentinels",
  strike: async ({ servers: redis }) => {
    const roles = await Promise.all(
      redis.map(async (node) => (await cli(node, "role").catch(() => "")).split("\n")[0]),
    );
    const pair = redis.filter((_, i) => roles[i] === "master" || roles[i] === "slave");
    const master = pair.find((node) => roles[redis.indexOf(node)] === "master");
    const replica = pair.find((node) => node !== master);
    if (!master || !replica) throw new Error(`the servers are ${roles.join(", ")}`);
    await master.kill();
    await until(async () => (await cli(replica, "role")).startsWith("master"));
    await master.start();
    await until(async () => (await cli(replica, "info", "replication")).includes("state=online"));
  },
};

// ── what Redis says of itself ────────────────────────────────────────────────

interface Master {
  readonly node: BrokerProcess;
  readonly id: string;
}

async function masters(redis: readonly BrokerProcess[]): Promise<readonly Master[]> {
  const found = await Promise.all(
    redis.map(async (node) => {
      const own = (await cli(node, "cluster", "nodes")).split("\n").find((line) => line.includes("myself"));
      const [id = "", , flags = "", , , , , , ...slots] = (own ?? "").split(" ");
      return flags.includes("master") && slots.length > 0 ? [{ node, id }] : [];
    }),
  );
  return found.flat();
}

/** Of a Cluster that is whole: on a busy machine its nodes replace each other also when nobody strikes. */
async function aMaster({ servers: redis, random }: Stage): Promise<BrokerProcess> {
  await untilWhole(redis);
  return random.pick(await masters(redis)).node;
}

function untilPromoted(rest: readonly BrokerProcess[]): Promise<void> {
  return until(
    async () =>
      (await cli(rest[0], "cluster", "info")).includes("cluster_state:ok") && (await masters(rest)).length === 3,
  );
}

function untilWhole(redis: readonly BrokerProcess[]): Promise<void> {
  const [lone, ...others] = redis;
  if (others.length === 0) return until(async () => (await cli(lone, "ping")).startsWith("PONG"));
  return until(async () => {
    const states = await Promise.all(redis.map((node) => cli(node, "cluster", "info")));
    const roles = await Promise.all(redis.map((node) => cli(node, "info", "replication")));
    const replicas = roles.filter((role) => role.includes("master_link_status:up")).length;
    const whole = states.every((state) => state.includes("cluster_state:ok")) && replicas === redis.length / 2;
    return whole && (await masters(redis)).length === redis.length / 2;
  });
}

async function cli(node: BrokerProcess | undefined, ...words: string[]): Promise<string> {
  const { stdout } = await run("redis-cli", ["-p", String(node?.port), ...words], { timeout: 3000 });
  return stdout;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 40_000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > deadline) throw new Error("Redis did not become whole again within 40 s");
    await after(100);
  }
}
