import assert from "node:assert/strict";
import { test } from "node:test";
import { BackboneError } from "../backbones/contract.ts";
import { withFaults } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { configSchema } from "../config.ts";
import { silentObserver } from "../gateway/observer.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { openNamespaces } from "./open.ts";
import { Publisher } from "./publisher.ts";

test("what the log has stored is published, though the bus of another backbone fails; and that is told", async (t) => {
  const clock = new ManualClock(1);
  const disk = new MemoryBackbone({}, clock);
  const failure = new BackboneError("unavailable", "[wall] the bus is gone");
  const wall = withFaults(new MemoryBackbone({}, clock), (call, go) =>
    call === "bus.publish" ? Promise.reject(failure) : go(),
  );
  for (const backbone of [disk, wall]) {
    await backbone.open();
    t.after(() => backbone.close());
  }
  const config = configSchema.parse({
    backbones: { disk: { type: "memory" }, wall: { type: "memory" } },
    namespaces: { chat: { backbone: "disk", bus: "wall", retention: { messages: 10 } } },
  });
  const namespace = openNamespaces(config, new Map(Object.entries({ disk, wall }))).of("chat:1");
  assert.ok(namespace);
  const told: unknown[] = [];
  const observer = {
    ...silentObserver,
    backboneFailed: (...[about, operation, error]: Parameters<typeof silentObserver.backboneFailed>) =>
      told.push([about?.name, operation, error]),
  };
  const { offset } = await new Publisher(clock, observer).publish(namespace, "chat:1", "1");
  assert.equal(offset, 1);
  await settle();
  assert.deepEqual(told, [["chat", "announce", failure]]);
});
