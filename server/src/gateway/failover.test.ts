/** A store that is replaced by another, which has all of its messages or lacks the last ones. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Position } from "@todoku/protocol";
import type { AppendOptions, Backbone, Bus, Capabilities, Cursors, Log } from "../backbones/contract.ts";
import { MEMORY_CAPABILITIES, MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { openGateway, type TestGateway } from "../test-gateway.ts";

const KEEP: AppendOptions = { retention: {} };

/** Memory that fails over: bus and cursors stay, the log goes on in another store, in a new epoch. */
class FailingOver implements Backbone {
  readonly type = "failing-over";
  // Hints are published by the platform, as with a store whose bus is another server.
  readonly capabilities: Capabilities = { ...MEMORY_CAPABILITIES, announces: false };
  readonly bus: Bus;
  readonly cursors: Cursors;
  readonly log: Log;
  readonly #clock: ManualClock;
  readonly #constant: MemoryBackbone;
  #store: MemoryBackbone;
  #forks: readonly Position[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
    this.#constant = new MemoryBackbone({}, clock);
    this.#store = new MemoryBackbone({}, clock);
    this.bus = this.#constant.bus;
    this.cursors = this.#constant.cursors;
    this.log = {
      append: (...given) => this.#store.log.append(...given),
      remove: (channel) => this.#store.log.remove(channel),
      channels: (...given) => this.#store.log.channels(...given),
      read: async (...given) => ({ ...(await this.#store.log.read(...given)), forks: this.#forks }),
      heads: async (channels) =>
        (await this.#store.log.heads(channels)).map((head) => ({ ...head, forks: this.#forks })),
    };
  }

  async open(): Promise<void> {
    await Promise.all([this.#constant.open(), this.#store.open()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#constant.close(), this.#store.close()]);
  }

  check(): Promise<void> {
    return this.#store.check();
  }

  /** Another store takes over; it lacks the channel's last `lost` messages. */
  async failOver(channel: string, lost = 0): Promise<void> {
    const { epoch, head, messages } = await this.#store.log.read(channel, { limit: 1000 });
    const next = new MemoryBackbone({}, this.#clock);
    await next.open();
    for (const { id, time, data } of messages.slice(0, messages.length - lost))
      await next.log.append(channel, { id, time, data }, KEEP);
    this.#forks = [
      { epoch, offset: head - lost },
      ...this.#forks.map((fork) => ({ ...fork, offset: Math.min(fork.offset, head - lost) })),
    ];
    this.#store = next;
  }
}

async function start(context: TestContext): Promise<{ gateway: TestGateway; store: FailingOver }> {
  const clock = new ManualClock();
  const store = new FailingOver(clock);
  await store.open();
  return { store, gateway: await openGateway(context, { clock, backbone: store }) };
}

test("R13 after a failover that lost nothing a reader subscribes again and goes on without a gap", async (context) => {
  const { gateway, store } = await start(context);
  await gateway.publishNumbers("a", 1, 3);
  const client = await gateway.connect();
  const { epoch = "" } = await client.subscribe("a", { start: "earliest" });
  await client.publications(3);
  await store.failOver("a");
  await gateway.publish("a", 4);
  assert.equal((await client.next("unsubscribe")).code, 2500);
  const again = await client.subscribe("a", { start: { epoch, offset: 3 } });
  assert.notEqual(again.epoch, epoch);
  assert.equal(again.offset, 3);
  assert.deepEqual(again.forks, [{ epoch, offset: 3 }]);
  assert.deepEqual(
    (await client.publications(1)).map(({ offset, data }) => [offset, data]),
    [[4, 4]],
  );
});

test("R11, R13 a reader that saw what a failover lost is told of a gap, and goes on where the histories part", async (context) => {
  const { gateway, store } = await start(context);
  await gateway.publishNumbers("a", 1, 3);
  const client = await gateway.connect();
  const { epoch = "" } = await client.subscribe("a", { start: "earliest" });
  await client.publications(3);
  await store.failOver("a", 1);
  await gateway.publish("a", 33);
  const gap = await client.next("gap");
  assert.equal(gap.reason, "epoch");
  assert.notEqual(gap.epoch, epoch);
  assert.equal(gap.to, 2);
  assert.deepEqual(
    (await client.publications(1)).map(({ offset, data }) => [offset, data]),
    [[3, 33]],
  );
});

test("R13, S9, S10 recovery by an older epoch's position is complete as long as the histories are the same up to there", async (context) => {
  const { gateway, store } = await start(context);
  await gateway.publishNumbers("a", 1, 3);
  const plain = await gateway.connect({ plain: true });
  const { epoch = "" } = await plain.subscribe("a");
  await plain.ask("unsubscribe", { channel: "a" });
  await store.failOver("a", 1);
  const kept = await plain.subscribe("a", { recover: true, epoch, offset: 1 });
  assert.equal(kept.recovered, true);
  assert.deepEqual(
    kept.publications?.map(({ offset }) => offset),
    [2],
  );
  await plain.ask("unsubscribe", { channel: "a" });
  assert.equal((await plain.subscribe("a", { recover: true, epoch, offset: 3 })).recovered, false);
});

test("R13, S12, A13 a durable subscription keeps its place through two failovers", async (context) => {
  const { gateway, store } = await start(context);
  await gateway.publishNumbers("a", 1, 4);
  const client = await gateway.connect();
  const { epoch = "" } = await client.subscribe("a", { durable: "phone", start: "earliest" });
  await client.publications(4);
  await client.ask("ack", { channel: "a", epoch, offset: 2 });
  client.cut();
  await store.failOver("a");
  await store.failOver("a");
  const back = await gateway.connect();
  const { cursor } = await back.subscribe("a", { durable: "phone" });
  assert.equal(cursor?.offset, 2);
  assert.notEqual(cursor?.epoch, epoch);
  const publications = await back.publications(2);
  assert.deepEqual(
    publications.map(({ data, redelivered }) => [data, redelivered]),
    [
      [3, true],
      [4, true],
    ],
  );
});
