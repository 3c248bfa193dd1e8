import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { needBroker } from "../../../../../scripts/brokers/need.ts";
import { systemClock } from "../../../clock.ts";
import type { Log } from "../../contract.ts";
import { backboneSchema, createBackbone } from "../../registry.ts";

const broker = await needBroker("redis");

describe("what redis-streams keeps", { skip: broker.skip }, async () => {
  if (broker.skip !== false) return;
  const settings = { type: "redis-streams", url: broker.urls[0], prefix: `retention-${systemClock.uuid()}:` };
  const backbone = await createBackbone("redis", backboneSchema.parse(settings), systemClock);
  await backbone.open();
  after(() => backbone.close());
  const { log } = backbone;
  assert.ok(log);

  test("a message that has the age is gone with the next append", async () => {
    const retention = { ageMs: 60_000 };
    await append(log, "age", "1", retention, 61_000);
    await append(log, "age", "2", retention, 59_000);
    await append(log, "age", "3", retention);
    const { messages, trimmed, head } = await log.read("age", { limit: 10 });
    assert.deepEqual([messages.map(({ data }) => data), trimmed, head], [["2", "3"], 1, 3]);
  });

  test("a channel that nobody writes to any more expires; its offsets go on, and its bytes are counted anew", async () => {
    const retention = { ageMs: 1000, bytes: 10 };
    for (const data of ["1111", "2222"]) await append(log, "idle", data, retention);
    const { epoch } = await log.read("idle", { limit: 10 });
    for (;;) {
      const { trimmed, messages, head } = await log.read("idle", { limit: 10 });
      if (messages.length > 0) continue;
      assert.deepEqual([trimmed, head], [2, 2]);
      break;
    }
    for (const data of ["3333", "4444"]) await append(log, "idle", data, retention);
    const range = await log.read("idle", { limit: 10 });
    assert.deepEqual(
      range.messages.map(({ offset }) => offset),
      [3, 4],
    );
    assert.equal(range.epoch, epoch);
  });

  test("a channel whose retention has an age no longer is kept", async () => {
    await append(log, "kept", "1", { ageMs: 200 });
    await append(log, "kept", "2", { messages: 10 });
    await append(log, "other", "1", { ageMs: 400 });
    while ((await log.read("other", { limit: 1 })).messages.length > 0) continue;
    assert.equal((await log.read("kept", { limit: 10 })).messages.length, 2);
  });
});

async function append(log: Log, channel: string, data: string, retention: object, ago = 0): Promise<void> {
  const message = { id: systemClock.uuid(), time: systemClock.now() - ago, data };
  await log.append(channel, message, { retention });
}
