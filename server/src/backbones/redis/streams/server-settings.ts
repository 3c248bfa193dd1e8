/** Whether the servers are set up for what is promised. Asked once, at start. */
import { BackboneError } from "../../contract.ts";
import type { Confirm } from "../capabilities.ts";
import { asBackboneError } from "../failure.ts";
import type { Node, RedisServers } from "../servers.ts";
import type { Confirmation } from "./script-calls.ts";

const OLDEST_MAJOR = 7;

/** @throws BackboneError `invalid` that names the server, the setting, its value and the way out. */
export async function checkServerSettings(
  name: string,
  servers: RedisServers,
  confirm: Confirm,
  confirmation: Confirmation | undefined,
): Promise<void> {
  for (const node of servers.masters()) {
    const info = await ask(name, node);
    const where = `[${name}] Redis at ${node.name}`;
    const major = Number(info.get("redis_version")?.split(".")[0]);
    if (major < OLDEST_MAJOR) {
      throw new BackboneError(
        "invalid",
        `${where} has version ${info.get("redis_version")}; redis-streams needs ${OLDEST_MAJOR} or newer`,
      );
    }
    const policy = info.get("maxmemory_policy");
    if (policy !== undefined && policy !== "noeviction") {
      throw new BackboneError(
        "invalid",
        `${where} has maxmemory-policy ${policy}, which removes messages when memory is short. Set it to noeviction`,
      );
    }
    const replicas = Number(info.get("connected_slaves") ?? 0);
    if (confirm === "disk") {
      if (servers.failsOver && replicas > 0) {
        throw new BackboneError(
          "invalid",
          `${where} has ${replicas} ${replicas === 1 ? "replica" : "replicas"}, and a failover to one loses what only this server's disk has. Set backbones.${name}.confirm to replicas, or to memory (at-most-once)`,
        );
      }
      await checkDisk(name, node, info, where);
    }
    if (confirmation && replicas < confirmation.replicas) {
      throw new BackboneError(
        "invalid",
        `${where} has ${replicas} connected ${replicas === 1 ? "replica" : "replicas"}, and ${confirmation.replicas} must confirm. Add replicas, or set backbones.${name}.confirm to disk or memory`,
      );
    }
  }
}

async function checkDisk(
  name: string,
  { redis }: Node,
  info: ReadonlyMap<string, string>,
  where: string,
): Promise<void> {
  const way = `set appendonly yes and appendfsync always, or set backbones.${name}.confirm to memory (at-most-once) or replicas`;
  if (info.get("aof_enabled") !== "1") {
    throw new BackboneError("invalid", `${where} has appendonly no, so a restart loses messages. Either ${way}`);
  }
  let fsync: string | undefined;
  try {
    [, fsync] = (await redis.config("GET", "appendfsync")) as [string, string];
  } catch {
    // CONFIG is often forbidden; then the operator's word counts.
    return;
  }
  if (fsync !== "always") {
    throw new BackboneError(
      "invalid",
      `${where} has appendfsync ${fsync}, so a crash can lose the last second. Either ${way}`,
    );
  }
}

async function ask(name: string, { redis }: Node): Promise<ReadonlyMap<string, string>> {
  try {
    const text = await redis.info();
    return new Map(
      text.split("\r\n").flatMap((line) => {
        const colon = line.indexOf(":");
        return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const];
      }),
    );
  } catch (error) {
    throw asBackboneError(name, error, "read");
  }
}
