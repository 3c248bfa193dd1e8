import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { predict, PROCESS_CONNECTIONS, type Costs, type Workload } from "./cost-model.ts";

const COSTS: Costs = {
  on: "paper",
  processBytes: 100e6,
  connectionBytes: 10_000,
  channelBytes: 2000,
  pingMicros: 25,
  connectMicros: 500,
  deliveryMicros: 10,
  publishMicros: { "at-most-once": 100, "at-least-once": 200, "exactly-once": 200 },
  frameMicros: 20,
};

const LOAD: Workload = {
  connections: 10_000,
  channels: 1000,
  subscribersPerChannel: 10,
  publishes: 100,
  bytes: 200,
  delivery: "at-most-once",
  carrier: "embedded",
  connects: 20,
  cores: 4,
};

describe("the cost model", () => {
  test("is a sum of what the parts cost", () => {
    const { processor, memory, deliveriesPerSecond, bytesPerSecond } = predict(LOAD, COSTS);
    assert.equal(deliveriesPerSecond, 1000);
    assert.equal(bytesPerSecond, 360_000);
    // 400 pings, 20 connects, 100 publishes, 1,000 deliveries a second.
    assert.deepEqual(
      [processor.pings, processor.connects, processor.publishes, processor.deliveries, processor.frames],
      [0.01, 0.01, 0.01, 0.01, 0],
    );
    assert.deepEqual(memory, { processes: 100e6, connections: 100e6, channels: 2e6, all: 202e6 });
  });

  test("a process is full by connections, by processor, or by memory", () => {
    const manyConnections = predict({ ...LOAD, connections: 3 * PROCESS_CONNECTIONS }, COSTS);
    assert.deepEqual([manyConnections.processes, manyConnections.bound], [3, "connections"]);
    const busy = predict({ ...LOAD, publishes: 20_000 }, COSTS);
    assert.equal(busy.bound, "processor");
    assert.ok(busy.processes * 0.6 >= busy.processor.all);
    const large = predict({ ...LOAD, channels: 5e6, subscribersPerChannel: 1 }, COSTS);
    assert.equal(large.bound, "memory");
  });

  test("more of anything never needs less", () => {
    for (const [key, more] of [
      ["connections", 100_000],
      ["channels", 1e6],
      ["subscribersPerChannel", 500],
      ["publishes", 5000],
      ["bytes", 5000],
      ["connects", 2000],
    ] as const) {
      const [less, greater] = [predict(LOAD, COSTS), predict({ ...LOAD, [key]: more }, COSTS)];
      assert.ok(greater.processes >= less.processes, key);
      assert.ok(greater.machines >= less.machines, key);
      assert.ok(greater.memory.all >= less.memory.all, key);
      assert.ok(greater.processor.all >= less.processor.all, key);
      assert.ok(greater.bytesPerSecond >= less.bytesPerSecond, key);
    }
  });

  test("with several gateways each message comes from the broker as often as it has gateways with subscribers", () => {
    const one = predict({ ...LOAD, carrier: "redis-pubsub" }, COSTS);
    assert.equal(one.processor.frames, 0.002);
    assert.equal(one.partitions, 1);
    const many = predict({ ...LOAD, carrier: "redis-pubsub", connections: 10 * PROCESS_CONNECTIONS }, COSTS);
    assert.ok(many.processor.frames > 5 * one.processor.frames && many.processor.frames < 10 * one.processor.frames);
    assert.equal(many.machines, 4, "three, and one to spare");
  });

  test("a broker that cannot be spread, or keeps nothing, is a problem where that is needed", () => {
    const busy = { ...LOAD, publishes: 100_000, subscribersPerChannel: 0, carrier: "redis-pubsub" } as const;
    assert.match(
      predict(busy, COSTS).problems.join(),
      /redis-pubsub is one server, and this takes 3: take redis-sharded/,
    );
    assert.deepEqual(predict({ ...busy, carrier: "redis-sharded" }, COSTS).problems, []);
    assert.match(
      predict({ ...LOAD, carrier: "redis-sharded", delivery: "exactly-once" }, COSTS).problems.join(),
      /cannot promise exactly-once/,
    );
  });
});
