import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { AbstractConnector } from "ioredis";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { LastingRedis } from "./lasting-redis.ts";

const broker = await needBroker("redis");

/** Its first search is called off, as ioredis calls off a search for the master when it hears of the next failover. */
function connectorTo(port: number): typeof AbstractConnector & (new () => AbstractConnector) {
  let searches = 0;
  return class extends AbstractConnector {
    constructor() {
      super(0);
    }

    override check(): boolean {
      return true;
    }

    override async connect(): Promise<Socket> {
      searches++;
      if (searches < 3) throw new Error("Connection is closed.");
      this.stream = connect(port, "127.0.0.1");
      return this.stream;
    }
  };
}

function clientOf(t: TestContext, url: string): LastingRedis {
  const redis = new LastingRedis({ lazyConnect: true, Connector: connectorTo(Number(new URL(url).port)) });
  redis.on("error", () => {});
  t.after(() => redis.disconnect());
  return redis;
}

function becomesReady(redis: LastingRedis): Promise<void> {
  return new Promise((resolve) => redis.once("ready", () => resolve()));
}

test("a connection whose search for the master was called off comes back", { skip: broker.skip }, async (t) => {
  assert.ok(broker.skip === false);
  const redis = clientOf(t, broker.urls[0] ?? "");
  const ready = becomesReady(redis);
  await assert.rejects(redis.connect(), /Connection is closed/);
  await ready;
  assert.equal(await redis.ping(), "PONG");
});

test("one that was let go stays away", { skip: broker.skip }, async (t) => {
  assert.ok(broker.skip === false);
  const redis = clientOf(t, broker.urls[0] ?? "");
  let tries = 0;
  redis.on("connecting", () => tries++);
  await assert.rejects(redis.connect(), /Connection is closed/);
  redis.disconnect();
  const other = clientOf(t, broker.urls[0] ?? "");
  const ready = becomesReady(other);
  await assert.rejects(other.connect(), /Connection is closed/);
  await ready;
  assert.equal(tries, 1, "it had as long to come back as the other took");
});
