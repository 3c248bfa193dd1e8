import { needBroker } from "../../../../scripts/brokers/need.ts";
import { conformance } from "../conformance.ts";
import { harness } from "./test-redis.ts";

const { skip } = await needBroker("redis");

if (skip === false) {
  conformance("redis-pubsub", () => harness("redis", ([url]) => ({ type: "redis-pubsub", url })));
  conformance("redis-pubsub behind Sentinels", () =>
    harness("redis-sentinel", (sentinels) => ({ type: "redis-pubsub", sentinels, master: "todoku" })),
  );
  conformance("redis-sharded", () => harness("redis-cluster", (cluster) => ({ type: "redis-sharded", cluster })));
}
