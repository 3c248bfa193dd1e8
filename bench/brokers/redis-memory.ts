/** What messages of `redis-streams` take of Redis' memory. */
import { Redis } from "ioredis";
import { backboneOf } from "../../server/src/backbones/redis/test-redis.ts";
import type { Contender, Measured } from "../scenario.ts";
import { single } from "./redis.ts";
import { messageOf, present } from "./way.ts";

const MANY = 1000;
const AT_ONCE = 500;
/** In each channel, beside its first. */
const MORE = 99;
const RETENTION = { ageMs: 7 * 86_400_000, messages: MANY };

/** Redis with `stream-node-max-bytes` as given. */
export function memoryOf(nodeBytes: string): Contender {
  return { name: `stream-node-max-bytes ${nodeBytes}`, measure: () => measure(nodeBytes) };
}

async function measure(nodeBytes: string): Promise<readonly Measured[]> {
  await using server = await single({ "stream-node-max-bytes": nodeBytes });
  const backbone = await backboneOf({ type: "redis-streams", url: server.url, confirm: "memory" });
  await backbone.open();
  const log = present(backbone.log);
  const asking = new Redis(server.url);
  const used = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await asking.info("memory"))?.[1]);
  const cost = async (load: string, count: number, channelOf: (i: number) => string): Promise<Measured> => {
    const before = await used();
    for (let i = 0; i < count; i += AT_ONCE) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, j) =>
          log.append(channelOf(i + j), messageOf(i + j), { retention: RETENTION }),
        ),
      );
    }
    return { load, value: ((await used()) - before) / count };
  };
  try {
    await cost("", MANY, () => "warm");
    return [
      await cost("a channel with one message", MANY, (i) => `c:${i}`),
      await cost(`each of ${MORE} more messages`, MORE * MANY, (i) => `c:${i % MANY}`),
    ];
  } finally {
    asking.disconnect();
    await backbone.close();
  }
}
