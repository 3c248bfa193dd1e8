import { asBackboneError } from "./failure.ts";
import type { RedisServers } from "./servers.ts";

/** Resolves while every master answers. @throws BackboneError. */
export async function checkServers(name: string, servers: RedisServers): Promise<void> {
  try {
    await Promise.all(servers.masters().map(({ redis }) => redis.ping()));
  } catch (error) {
    throw asBackboneError(name, error, "read");
  }
}
