/** Which channels there are: the keys of their streams, server by server. */
import { namespaceOf } from "@todoku/protocol";
import { BackboneError, type ChannelPage } from "../../contract.ts";
import { asBackboneError } from "../failure.ts";
import type { RedisServers } from "../servers.ts";

const KEYS_PER_SCAN = 1000;

/**
 * One step of a scan. `after` is `CURSOR SERVER`.
 *
 * @throws BackboneError `unavailable` where the server is not there any more: begin again.
 */
export async function channelsOf(
  servers: RedisServers,
  prefix: string,
  namespace: string,
  after: string | undefined,
): Promise<ChannelPage> {
  const masters = servers.masters().toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const [cursor = "0", name = masters[0]?.name ?? ""] = after?.split(" ") ?? [];
  const at = masters.findIndex((master) => master.name === name);
  const master = masters[at];
  if (!master)
    throw new BackboneError("unavailable", `no Redis master is called ${name}; its channels were being listed`);
  const begin = `${prefix}{`;
  const end = "}:log";
  const names = namespace === "" ? "*" : `${namespace}:*`;
  try {
    const [next, keys] = await master.redis.scan(
      cursor,
      "MATCH",
      `${escaped(begin)}${names}${end}`,
      "COUNT",
      KEYS_PER_SCAN,
    );
    const channels = keys
      .map((key) => key.slice(begin.length, -end.length))
      .filter((key) => namespaceOf(key) === namespace);
    if (next !== "0") return { channels, next: `${next} ${name}` };
    const following = masters[at + 1];
    return { channels, ...(following && { next: `0 ${following.name}` }) };
  } catch (error) {
    throw asBackboneError(name, error, "read");
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, "\\$&");
}
