/** The Sentinels replace a frozen master; whoever was connected to it must notice, for its connections stay open. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { ownServers } from "../../../../scripts/brokers/own-servers.ts";
import { backboneOf } from "./test-redis.ts";

const { skip } = await needBroker("redis");
const SERVICE_BACK_MS = 15_000;

test(
  "behind Sentinels, what is published is heard again soon after the master froze, and no call hangs",
  { skip },
  async (t) => {
    const { urls, servers, end } = await ownServers("redis-sentinel");
    t.after(end);
    const backbone = await backboneOf({ type: "redis-pubsub", sentinels: urls, master: "todoku" });
    await backbone.open();
    t.after(() => backbone.close());
    const { bus } = backbone;
    assert.ok(bus);
    const heard: string[] = [];
    await bus.subscribe("c", ({ kind }) => heard.push(kind));
    const publish = (): Promise<void> => bus.publish("c", { kind: "signal", signal: "{}" });
    await publish();
    servers[0]?.freeze();
    const frozen = performance.now();
    let longest = 0;
    while (heard.at(-1) !== "signal" || !heard.includes("interrupted")) {
      const begun = performance.now();
      await publish().catch(() => new Promise((resolve) => setTimeout(resolve, 50)));
      longest = Math.max(longest, performance.now() - begun);
      assert.ok(performance.now() - frozen < SERVICE_BACK_MS, `after ${SERVICE_BACK_MS} ms nothing is heard`);
    }
    t.diagnostic(
      `heard again after ${Math.round(performance.now() - frozen)} ms, the longest call took ${Math.round(longest)} ms`,
    );
    assert.ok(longest < 5000, `a call hung for ${Math.round(longest)} ms`);
    servers[0]?.thaw();
  },
);
