import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { inEpoch } from "@todoku/protocol";
import { needBroker } from "../../../../../scripts/brokers/need.ts";
import { systemClock } from "../../../clock.ts";
import { BackboneError, type Appended, type Backbone, type Log, type Message, type Range } from "../../contract.ts";
import { backboneSchema, createBackbone } from "../../registry.ts";
import { ownServers } from "../../../../../scripts/brokers/own-servers.ts";

const run = promisify(execFile);
const { skip } = await needBroker("redis");
const KEEP = { retention: {} };

describe("a failover inside Redis", { skip }, () => {
  const ends: (() => Promise<void>)[] = [];
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  async function opened(settings: object): Promise<Backbone & { readonly log: Log }> {
    const backbone = await createBackbone("redis", backboneSchema.parse(settings), systemClock);
    await backbone.open();
    ends.push(() => backbone.close());
    const { log } = backbone;
    assert.ok(log);
    return Object.assign(backbone, { log });
  }

  test("to a replica that lacks the last writes is told by the forks; what replicas confirmed is there, and nobody was shown more", async () => {
    const { urls, servers, end } = await ownServers("redis-sentinel");
    ends.push(end);
    const [master, replica] = servers;
    assert.ok(master && replica);
    const shared = { type: "redis-streams", sentinels: urls, master: "todoku" };
    const confirmed = await opened(shared);
    const hasty = await opened({ ...shared, confirm: "memory" });
    for (let i = 1; i <= 3; i++) await store(confirmed.log, `${i}`);
    const before = await confirmed.log.read("c", { limit: 10 });
    assert.deepEqual([before.messages.length, before.head], [3, 3]);

    replica.freeze();
    await assert.rejects(confirmed.log.append("c", message("4"), KEEP), isUnknown);
    const meanwhile = await confirmed.log.read("c", { limit: 10 });
    assert.equal(meanwhile.head, 3, "what no replica has is not shown");
    // More than the sockets between the two hold: the rest is with the master only, and goes with it.
    const large = JSON.stringify("x".repeat(400_000));
    for (let i = 5; i <= 80; i++) await hasty.log.append("c", message(large), KEEP);
    const lost = await hasty.log.read("c", { after: 79, limit: 10 });
    assert.deepEqual([lost.epoch, lost.head], [before.epoch, 80]);
    await master.kill();
    replica.thaw();

    const range = await untilEpochIsNot(before.epoch, () => hasty.log.read("c", { limit: 100 }));
    assert.ok(range.head >= 3 && range.head < 80, `the replica has ${range.head} of 80`);
    assert.deepEqual(range.forks, [{ epoch: before.epoch, offset: range.head }]);
    assert.deepEqual(
      range.messages.map(({ offset }) => offset),
      Array.from({ length: range.head }, (_, i) => i + 1),
    );
    assert.deepEqual(range.messages.slice(0, 3), before.messages);
    assert.notEqual(inEpoch({ epoch: before.epoch, offset: 3 }, range), undefined);
    assert.equal(inEpoch({ epoch: before.epoch, offset: 80 }, range), undefined, "who saw more is told of a gap");
  });

  test("by CLUSTER FAILOVER keeps every message and every position", async () => {
    const { urls, end } = await ownServers("redis-cluster");
    ends.push(end);
    const { log } = await opened({ type: "redis-streams", cluster: urls });
    for (let i = 1; i <= 3; i++) await store(log, `${i}`);
    const before = await log.read("c", { limit: 10 });
    await promote(await replicaOf(urls, "todoku:{c}:meta"));
    const range = await untilEpochIsNot(before.epoch, () => log.read("c", { limit: 10 }));
    assert.deepEqual(range.messages, before.messages);
    assert.deepEqual(range.forks, [{ epoch: before.epoch, offset: 3 }]);
    const { epoch, offset } = await store(log, "4");
    assert.deepEqual({ epoch, offset }, { epoch: range.epoch, offset: 4 });
  });
});

function message(data: string): Message {
  return { id: systemClock.uuid(), time: systemClock.now(), data };
}

function isUnknown(error: unknown): boolean {
  return error instanceof BackboneError && error.reason === "unknown";
}

/** A failover that was asked for may time out inside Redis after five seconds: then it is asked for again. */
async function promote(port: string): Promise<void> {
  for (;;) {
    await cli(port, "cluster", "failover");
    for (let looks = 0; looks < 60; looks++) {
      if ((await cli(port, "role")).startsWith("master")) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** While the servers change places, calls fail. */
async function untilEpochIsNot(epoch: string, read: () => Promise<Range>): Promise<Range> {
  for (;;) {
    const range = await read().catch(() => undefined);
    if (range && range.epoch !== epoch) return range;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Replicas may need a moment, and a server that has become one needs several; the key makes a repeat harmless. */
async function store(log: Log, data: string): Promise<Appended> {
  for (;;) {
    try {
      return await log.append("c", message(data), { ...KEEP, dedupe: { key: data, windowMs: 60_000 } });
    } catch (error) {
      if (!(error instanceof BackboneError)) throw error;
    }
  }
}

/** The port of the replica of the key's master, once the first node has heard by gossip who that is. */
async function replicaOf(urls: readonly string[], key: string): Promise<string> {
  for (;;) {
    const port = await knownReplicaOf(urls, key);
    if (port !== undefined) return port;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function knownReplicaOf(urls: readonly string[], key: string): Promise<string | undefined> {
  const ports = urls.map((url) => new URL(url).port);
  const [first = ""] = ports;
  const slot = Number(await cli(first, "cluster", "keyslot", key));
  const nodes = (await cli(first, "cluster", "nodes")).split("\n").map((line) => line.split(" "));
  const holder = nodes.find(([, , flags, , , , , , ...ranges]) =>
    ranges.some((range) => {
      const [from, to = from] = range.split("-").map(Number);
      return flags?.includes("master") === true && from !== undefined && to !== undefined && from <= slot && slot <= to;
    }),
  );
  const replica = nodes.find(([, , , master]) => master === holder?.[0]);
  return /:(\d+)@/.exec(replica?.[1] ?? "")?.[1];
}

async function cli(port: string, ...words: string[]): Promise<string> {
  return (await run("redis-cli", ["-p", port, ...words])).stdout.trim();
}
