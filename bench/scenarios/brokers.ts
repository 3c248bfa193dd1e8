/** What the backbones cost beside the broker's own client library. */
import { bareKafka, kafkaBackbones } from "../brokers/kafka.ts";
import { bareRedis, redisBackbones } from "../brokers/redis.ts";
import { memoryOf } from "../brokers/redis-memory.ts";
import { CHANNELS, UNDER_WAY, waysOf, type Ways } from "../brokers/way.ts";
import { DATA_BYTES } from "../load-data.ts";
import { versionOf } from "../package-version.ts";
import type { Scenario } from "../scenario.ts";

const BOUND = 0.8;
const BACKBONE = "todoku's backbone";

const ABOUT =
  `${DATA_BYTES} bytes of data on ${CHANNELS} channels, ${UNDER_WAY} messages given at once, and the next when all are taken; ` +
  "where they are to arrive, on other connections, until all have, and each is compared with what was given. The bare loop makes the same calls with " +
  "the same contents, those of a turn together";

export const redisBroker: Scenario = scenarioOf({
  name: "broker-redis",
  title: "Redis, through the backbone and bare",
  about: `${ABOUT}, and the same scripts. Where replicas confirm, it shows a message at once, the backbone once they have: in a script more.`,
  library: "ioredis",
  ways: redisBackbones,
  bareWays: bareRedis,
  loads: [
    "redis-pubsub, publish",
    "redis-pubsub, publish and arrive",
    "redis-sharded, publish and arrive",
    ...["memory", "disk", "replicas"].flatMap((confirm) => [
      `redis-streams, confirm: ${confirm}`,
      `redis-streams, confirm: ${confirm}, append and arrive`,
    ]),
  ],
  expectedSeconds: 70,
});

export const kafkaBroker: Scenario = scenarioOf({
  name: "broker-kafka",
  title: "Kafka, through the backbone and bare",
  about: `${ABOUT}. The backbone answers when it has read a record back: only so it knows that it is no repeat.`,
  library: "@platformatic/kafka",
  ways: kafkaBackbones,
  bareWays: bareKafka,
  loads: ["kafka, append", "kafka, append and arrive"],
  expectedSeconds: 25,
});

export const redisMemory: Scenario = {
  name: "redis-memory",
  title: "Memory of Redis",
  about: `What Redis takes for channels and messages of \`redis-streams\`, ${DATA_BYTES} bytes of data each, without idempotency keys.`,
  unit: "bytes",
  better: "less",
  expectedSeconds: 9,
  contenders: ["4096", "512"].map(memoryOf),
  controls: [],
};

interface BrokerScenario extends Pick<Scenario, "name" | "title" | "about" | "expectedSeconds"> {
  readonly library: string;
  readonly ways: Ways;
  readonly bareWays: Ways;
  readonly loads: readonly string[];
}

function scenarioOf({ library, ways, bareWays, loads, ...rest }: BrokerScenario): Scenario {
  const bare = `${library} in a bare loop`;
  return {
    ...rest,
    unit: "messages/s",
    better: "more",
    contenders: [waysOf(BACKBONE, ways), waysOf(bare, bareWays, () => ({ [library]: versionOf(library) }))],
    controls: [{ title: "of the bare loop", contenders: [bare] }],
    goals: loads.map((load) => ({ contender: BACKBONE, load, control: "of the bare loop", bound: BOUND })),
  };
}
