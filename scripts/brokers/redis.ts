/** Redis: one server; a replicated pair watched by three Sentinels; a Cluster of six. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import type { Recipe } from "./recipe.ts";
import { freePorts, ServerProcess } from "./server-process.ts";

const run = promisify(execFile);
const PROGRAMS = { "redis-server": "redis-server", "redis-cli": "redis-tools" };

/** Every write is on disk before it is answered, so that a killed server loses nothing it acknowledged. */
const DURABLE = { appendonly: "yes", appendfsync: "always", save: "" };

export const redis: Recipe = {
  name: "redis",
  programs: PROGRAMS,
  start: async (folder) => {
    const [port = 0] = await freePorts(1);
    const server = await redisServer(folder, "redis", { ...DURABLE, port: String(port) }).start();
    return { urls: [urlOf(port)], servers: [server] };
  },
};

export const redisSentinel: Recipe = {
  name: "redis-sentinel",
  programs: { ...PROGRAMS, "redis-sentinel": "redis-sentinel" },
  start: async (folder) => {
    const [first = 0, second = 0, ...watchers] = await freePorts(5);
    const settings = { ...DURABLE, "repl-diskless-sync-delay": "0", "repl-diskless-load": "swapdb" };
    const master = await redisServer(folder, "master", { ...settings, port: String(first) }).start();
    const replica = await redisServer(folder, "replica", {
      ...settings,
      port: String(second),
      replicaof: `127.0.0.1 ${first}`,
    }).start();
    await until(async () => (await cli(second, "info", "replication")).includes("master_link_status:up"));
    const sentinels = await Promise.all(
      watchers.map((port, i) => sentinel(folder, `sentinel-${i + 1}`, port, first).start()),
    );
    await until(async () => {
      const seen = await Promise.all(
        watchers.map((port) => cli(port, "sentinel", "ckquorum", "todoku").catch(() => "")),
      );
      return seen.every((answer) => answer.startsWith("OK 3"));
    });
    return { urls: watchers.map((port) => `redis://127.0.0.1:${port}`), servers: [master, replica, ...sentinels] };
  },
};

export const redisCluster: Recipe = {
  name: "redis-cluster",
  programs: PROGRAMS,
  start: async (folder) => {
    const ports = await freePorts(12);
    const nodes = await Promise.all(
      ports.slice(0, 6).map((port, i) =>
        redisServer(folder, `node-${i + 1}`, {
          ...DURABLE,
          port: String(port),
          "cluster-enabled": "yes",
          "cluster-port": String(ports[i + 6]),
          "cluster-node-timeout": "2000",
          "cluster-config-file": "nodes.conf",
          "repl-diskless-sync-delay": "0",
        }).start(),
      ),
    );
    const addresses = ports.slice(0, 6).map((port) => `127.0.0.1:${port}`);
    await run("redis-cli", ["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"]);
    await until(async () => {
      const states = await Promise.all(ports.slice(0, 6).map((port) => cli(port, "cluster", "info")));
      const roles = await Promise.all(ports.slice(0, 6).map((port) => cli(port, "info", "replication")));
      return (
        states.every((state) => state.includes("cluster_state:ok")) &&
        roles.filter((role) => role.includes("master_link_status:up")).length === 3
      );
    });
    return { urls: addresses.map((address) => `redis://${address}`), servers: nodes };
  },
};

/** A server with these lines in its configuration; not started. */
export function redisServer(folder: string, name: string, settings: Readonly<Record<string, string>>): ServerProcess {
  const own = path.join(folder, name);
  mkdirSync(own, { recursive: true });
  const all = {
    bind: "127.0.0.1",
    dir: own,
    daemonize: "no",
    "protected-mode": "no",
    "maxmemory-policy": "noeviction",
    ...settings,
  };
  const file = path.join(own, "redis.conf");
  writeFileSync(file, lines(all));
  return new ServerProcess({ name, folder, command: "redis-server", args: [file], port: Number(settings["port"]) });
}

function sentinel(folder: string, name: string, port: number, master: number): ServerProcess {
  const file = path.join(folder, `${name}.conf`);
  writeFileSync(
    file,
    [
      `port ${port}`,
      "bind 127.0.0.1",
      "protected-mode no",
      `dir ${folder}`,
      `sentinel monitor todoku 127.0.0.1 ${master} 2`,
      "sentinel down-after-milliseconds todoku 2000",
      "sentinel failover-timeout todoku 6000",
      "",
    ].join("\n"),
  );
  return new ServerProcess({ name, folder, command: "redis-sentinel", args: [file], port });
}

function lines(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${value === "" ? '""' : value}\n`)
    .join("");
}

function urlOf(port: number): string {
  return `redis://127.0.0.1:${port}`;
}

async function cli(port: number, ...words: string[]): Promise<string> {
  const { stdout } = await run("redis-cli", ["-p", String(port), ...words]);
  return stdout;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > deadline) throw new Error("the servers did not find each other within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
