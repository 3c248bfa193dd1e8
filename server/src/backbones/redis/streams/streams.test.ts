import { needBroker } from "../../../../../scripts/brokers/need.ts";
import { conformance } from "../../conformance.ts";
import { harness } from "../test-redis.ts";

const { skip } = await needBroker("redis");

if (skip === false) {
  conformance("redis-streams on one server", () => harness("redis", ([url]) => ({ type: "redis-streams", url })));
  conformance("redis-streams in a Cluster", () =>
    harness("redis-cluster", (cluster) => ({ type: "redis-streams", cluster })),
  );
  conformance("redis-streams behind Sentinels", () =>
    harness("redis-sentinel", (sentinels) => ({ type: "redis-streams", sentinels, master: "todoku" })),
  );
}
