import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Backbone } from "../backbones/contract.ts";
import { withFaults, withLossyBus, type Around } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { openGateway, type TestGateway } from "../test-gateway.ts";

/** How often the bus was subscribed to, and how many listeners are there now. Leaving the bus takes as long as `leaving`. */
interface Listeners {
  made: number;
  now: number;
  leaving: Promise<void>;
}

async function begin(
  context: TestContext,
  around: Around = (_call, go) => go(),
): Promise<{ gateway: TestGateway; clock: ManualClock; listeners: Listeners }> {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const listeners: Listeners = { made: 0, now: 0, leaving: Promise.resolve() };
  const { bus } = memory;
  const counted: Backbone = {
    ...withFaults(memory, (_call, go) => go()),
    bus: {
      publish: (...args) => bus.publish(...args),
      subscribe: async (...args) => {
        const stop = await bus.subscribe(...args);
        listeners.made++;
        listeners.now++;
        return async () => {
          await stop();
          await listeners.leaving;
          listeners.now--;
        };
      },
    },
  };
  const gateway = await openGateway(context, { clock, backbone: withFaults(counted, around) });
  return { gateway, clock, listeners };
}

test("however many subscribe to a channel, the gateway listens to it once, and for 5 s after the last has gone", async (t) => {
  const { gateway, clock, listeners } = await begin(t);
  const clients = [await gateway.connect(), await gateway.connect(), await gateway.connect()];
  await Promise.all(clients.map((client) => client.subscribe("a")));
  assert.deepEqual([listeners.made, listeners.now], [1, 1]);
  for (const client of clients) client.cut();
  await clock.advance(4999);
  assert.equal(listeners.now, 1);
  const back = await gateway.connect();
  await back.subscribe("a");
  await clock.advance(60_000);
  assert.deepEqual([listeners.made, listeners.now], [1, 1]);
  await gateway.publish("a", 1);
  assert.deepEqual(await back.data(1), [1]);
  back.cut();
  await clock.advance(5000);
  assert.equal(listeners.now, 0);
});

test("who subscribes while the gateway stops listening makes it listen anew", async (t) => {
  const { gateway, clock, listeners } = await begin(t);
  const first = await gateway.connect();
  await first.subscribe("a");
  const left = Promise.withResolvers<void>();
  listeners.leaving = left.promise;
  first.cut();
  await clock.advance(5000);
  const next = await gateway.connect();
  await next.subscribe("a");
  left.resolve();
  await settle();
  assert.deepEqual([listeners.made, listeners.now], [2, 1]);
  await gateway.publish("a", 1);
  assert.deepEqual(await next.data(1), [1]);
});

test("a subscribe that is under way when the gateway stops leaves no listener, nor does one that comes after", async (t) => {
  for (let moment = 0; moment < 15; moment++) {
    const waiting = Promise.withResolvers<void>();
    const { gateway, listeners } = await begin(t, async (call, go) => {
      if (call === "bus.subscribe") await waiting.promise;
      return go();
    });
    const client = await gateway.connect();
    client.send({ id: 9, subscribe: { channel: "a" } });
    for (let i = 0; i < moment; i++) await Promise.resolve();
    const stopped = gateway.stop();
    waiting.resolve();
    await stopped;
    await settle();
    assert.equal(listeners.now, 0);
  }
});

test("R7 a beacon that cannot ask the log asks again at its next turn", async (t) => {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  let failing = false;
  const faulty = withFaults(memory, async (call, go) => {
    if (failing && call === "log.heads") throw new Error("the log is away");
    return go();
  });
  const gateway = await openGateway(t, { clock, backbone: withLossyBus(faulty, () => "lost") });
  const client = await gateway.connect();
  await client.subscribe("a");
  await gateway.publish("a", 1);
  failing = true;
  await clock.advance(5000);
  assert.equal(gateway.failures.length, 1);
  assert.deepEqual(await client.rest(), []);
  failing = false;
  await clock.advance(5000);
  assert.deepEqual(await client.data(1), [1]);
});
