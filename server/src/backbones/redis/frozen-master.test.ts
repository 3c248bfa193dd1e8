/** A master that is frozen and comes back: a gray failure, in which connections stay open and nobody answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { outlive } from "../../../../tests/fleet/faults.ts";
import { systemClock } from "../../clock.ts";
import type { Frame } from "../contract.ts";
import { backboneSchema, createBackbone } from "../registry.ts";
import { ownServers } from "../../../../scripts/brokers/own-servers.ts";

const { skip } = await needBroker("redis-cluster");

const PARTITIONS = 64;

test("64 of 64 sharded subscriptions are alive after a frozen master, and no call hangs", { skip }, async (t) => {
  const servers = await ownServers("redis-cluster");
  t.after(() => servers.end());
  const settings = backboneSchema.parse({ type: "redis-sharded", cluster: servers.urls, partitions: PARTITIONS });
  const backbone = await createBackbone("wall", settings, systemClock);
  await backbone.open();
  t.after(() => backbone.close());
  const { bus } = backbone;
  assert.ok(bus);
  // More channels than partitions, so that every partition has some.
  const channels = Array.from({ length: PARTITIONS * 8 }, (_, i) => `wall:${i}`);
  const heard = new Map<string, number>();
  for (const channel of channels) {
    await bus.subscribe(channel, (frame: Frame) => {
      if (frame.kind === "signal") heard.set(channel, (heard.get(channel) ?? 0) + 1);
    });
  }
  const frozen = outlive(servers.servers, servers.servers[0]!);
  // Meanwhile each publish is answered or refused.
  let longest = 0;
  let answered = 0;
  const over = new AbortController();
  void frozen.finally(() => over.abort());
  for (let n = 0; !over.signal.aborted; n++) {
    const begun = performance.now();
    const taken = await Promise.allSettled(
      channels.slice(0, 64).map((channel) => bus.publish(channel, { kind: "signal", signal: String(n) })),
    );
    longest = Math.max(longest, performance.now() - begun);
    answered += taken.filter(({ status }) => status === "fulfilled").length;
  }
  await frozen;
  t.diagnostic(`${answered} publishes were taken meanwhile, the longest wait was ${Math.round(longest)} ms`);
  assert.ok(answered > 0, "the other shards must go on");
  assert.ok(longest < 5000, `a call hung for ${Math.round(longest)} ms`);
  heard.clear();
  const deadline = Date.now() + 15_000;
  while (heard.size < channels.length && Date.now() < deadline) {
    await Promise.allSettled(channels.map((channel) => bus.publish(channel, { kind: "signal", signal: "again" })));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(heard.size, channels.length);
});
