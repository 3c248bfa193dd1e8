/**
 * Load, in small: crowds come, hold, churn, fall silent and come back all at once, and nothing of it may stay behind or be lost.
 * Counts and bounds, no times; the same at full size are scenarios of bench/.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as after } from "node:timers/promises";
import { Crowd } from "./load/crowd.ts";
import { LoadedServer, type Holdings } from "./load/loaded-server.ts";

const skip = existsSync("/proc/self/fd") ? false : "this system does not show the descriptors of a process";
/** The feeds of left channels linger for five seconds; a busy machine takes its time to close connections. */
const PATIENCE_MS = 30_000;
/**
 * Memory that a crowd may leave behind: compiled code, grown tables, what V8 keeps for itself. The crowds are so large that one
 * object left per connection or channel is more.
 */
const LEFT_BYTES = 2_000_000;
const DATA = "x".repeat(100);
const connect = (): object => ({ todoku: { version: 1 } });

/** Resolves when the server holds nothing of a crowd any more, and no more memory than `before`; fails if that takes too long. */
async function emptied(server: LoadedServer, before: Holdings): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const { connections, subscriptions, channels, memory, descriptors } = await server.holdings();
    const grown = memory - before.memory;
    const empty = connections === 0 && subscriptions === 0 && channels === 0;
    if (empty && grown < LEFT_BYTES && descriptors <= before.descriptors + 2) return;
    if (performance.now() > until) {
      const held = { connections, subscriptions, channels, grown, descriptors: descriptors - before.descriptors };
      assert.fail(`a crowd that has left is still held: ${JSON.stringify(held)}`);
    }
    await after(250);
  }
}

/** The first connections bring things into memory that stay: code, tables, buffers. */
async function warmed(server: LoadedServer): Promise<Holdings> {
  await using crowd = new Crowd({
    port: server.port,
    connect,
    channels: (i) => [`kept:${i}`, `live:${i}`, `seen:${i}`],
  });
  await crowd.come(50);
  await crowd.leave();
  return server.holdings();
}

/** Resolves when no connection has anything to be sent. */
async function emptyQueues(server: LoadedServer): Promise<void> {
  while ((await server.process.metric("todoku_queued_bytes")) > 0) await after(20);
}

describe("load", { skip, timeout: 300_000 }, () => {
  for (const [presence, namespace] of [
    ["without presence", "live"],
    ["with presence, joins and leaves", "seen"],
  ] as const) {
    test(`a crowd that churns gives back what it took, ${presence}`, async () => {
      const [clients, channels] = [400, 40];
      const all = Array.from({ length: channels }, (_, i) => `${namespace}:${i}`);
      await using server = await LoadedServer.start();
      const before = await warmed(server);
      await using crowd = new Crowd({ port: server.port, connect, channels: (i) => [`${namespace}:${i % channels}`] });
      await crowd.come(clients);
      await crowd.churn(clients / 10, 2);
      // What is sent to a client that leaves it may not receive: from here on nobody does.
      const { received } = crowd.tally();
      await server.publish(all, 1, DATA);
      await crowd.accounts(received + clients);
      const held = await server.holdings();
      assert.deepEqual([held.connections, held.subscriptions, held.channels], [clients, clients, channels]);
      const expected = { open: clients, received: received + clients, disordered: 0, lost: 0, endings: {} };
      assert.deepEqual(crowd.tally(), expected);
      if (namespace === "seen") {
        const stats = await server.process.api<{ num_clients: number }>("presence_stats", { channel: "seen:0" });
        // Who leaves first is who came first, whatever it was subscribed to.
        const there = crowd.clients.filter(({ options }) => options.channels.includes("seen:0"));
        assert.equal(stats.num_clients, there.length);
      }
      await crowd.leave();
      await emptied(server, before);
    });
  }

  test("all clients come back at once, and each gets what it missed, in order", async () => {
    const [clients, channels, missed] = [500, 50, 100];
    const all = Array.from({ length: channels }, (_, i) => `kept:${i}`);
    await using server = await LoadedServer.start();
    const before = await warmed(server);
    await using crowd = new Crowd({ port: server.port, connect, channels: (i) => [`kept:${i % channels}`] });
    await crowd.come(clients);
    await crowd.drop();
    await server.publish(all, missed, DATA);
    await crowd.return(missed);
    const expected = { open: clients, received: clients * missed, disordered: 0, lost: 0, endings: {} };
    assert.deepEqual(crowd.tally(), expected);
    await crowd.leave();
    await emptied(server, before);
  });

  test("channels cost little while they are followed, and nothing when they were left", async (t) => {
    const [clients, each] = [100, 100];
    const channels = (i: number): readonly string[] => Array.from({ length: each }, (_, j) => `live:${i}-${j}`);
    await using server = await LoadedServer.start();
    const before = await warmed(server);
    await using crowd = new Crowd({ port: server.port, connect, channels });
    await crowd.come(clients);
    const held = await server.holdings();
    assert.equal(held.channels, clients * each);
    const cost = (held.memory - before.memory) / (clients * each);
    t.diagnostic(`a channel with a subscriber holds ${cost.toFixed(0)} bytes`);
    assert.ok(cost < 4000, `a channel with one subscriber holds ${cost} bytes`);
    await crowd.leave();
    await emptied(server, before);
  });

  test("many readers that stop cost no more than their bounds, and give it back", async (t) => {
    const [readers, bound] = [50, 64 * 1024];
    await using server = await LoadedServer.start({ queue_bytes: "64KiB", ping: "10m" });
    await using crowd = new Crowd({ port: server.port, connect, channels: () => ["live:flood"] });
    const before = await warmed(server);
    await crowd.come(readers);
    crowd.pause();
    const data = "x".repeat(10_000);
    let published = 0;
    // More than the system's buffers of both sides take.
    for (let full = 0; full < readers * bound; published += 100) {
      await server.publish(["live:flood"], 100, data);
      full = await server.process.metric("todoku_queued_bytes");
      assert.ok(published < 10_000, `${full} bytes wait after ${published} messages`);
    }
    await server.publish(["live:flood"], 1000, data);
    published += 1000;
    const most = await server.process.metric("todoku_queued_bytes_max");
    const during = await server.holdings();
    t.diagnostic(`${most} bytes at most for one; ${((during.memory - before.memory) / 1e6).toFixed(1)} MB for all`);
    assert.ok(most <= bound + 100 * data.length, `${most} bytes wait for one reader`);
    assert.ok(during.memory - before.memory < readers * (bound + 100 * data.length));
    crowd.resume();
    await emptyQueues(server);
    // What was dropped is told before the next message that is sent.
    await server.publish(["live:flood"], 1, data);
    await crowd.accounts(readers * (published + 1));
    const { received, lost, endings } = crowd.tally();
    assert.deepEqual(endings, {});
    assert.equal(received + lost, readers * (published + 1));
    assert.equal(await server.process.metric("todoku_queued_bytes"), 0);
    await crowd.leave();
    await emptied(server, before);
  });
});
