import assert from "node:assert/strict";
import { test } from "node:test";
import { withLossyBus } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { openGateway } from "../test-gateway.ts";

test("P8 where nothing is remembered no publish is repeated: its first try may have been delivered", async (t) => {
  const gateway = await openGateway(t);
  const reader = await gateway.connect();
  await reader.subscribe("live:a");
  const publisher = await gateway.connect();
  const publish = { channel: "live:a", data: 1, key: "k" };
  assert.equal((await publisher.call("publish", publish)).error, undefined);
  assert.equal((await publisher.refused("publish", { ...publish, key_age: 5000 })).code, 401);
  await gateway.publish("live:a", 2);
  assert.deepEqual(await reader.data(2), [1, 2]);
});

test("F1, R1 another program's JSON may have newlines: in a frame they would end it", async (t) => {
  const gateway = await openGateway(t);
  const reader = await gateway.connect();
  await reader.subscribe("live:a");
  await gateway.backbone.bus?.publish("live:a", { kind: "foreign", data: '{\n  "text": "two\\nlines"\n}' });
  assert.deepEqual(await reader.data(1), [{ text: "two\nlines" }]);
});

test("a frame that the bus repeats is delivered once, also where no offset would show it", async (t) => {
  const clock = new ManualClock();
  const backbone = withLossyBus(new MemoryBackbone({}, clock), () => "twice");
  await backbone.open();
  const gateway = await openGateway(t, { clock, backbone });
  const reader = await gateway.connect();
  await reader.subscribe("live:a");
  for (let n = 1; n <= 200; n++) await gateway.publish("live:a", n);
  const received = await reader.data(200);
  assert.deepEqual(
    received,
    Array.from({ length: 200 }, (_, i) => i + 1),
  );
});
