import assert from "node:assert/strict";
import { test } from "node:test";
import type { Frame, Ingest, IngestEntry, IngestVerdict } from "./backbones/contract.ts";
import { MemoryBackbone } from "./backbones/memory.ts";
import { parseConfig } from "./config-file.ts";
import { Ingestion } from "./ingest.ts";
import { ManualClock } from "./manual-clock.ts";
import { openNamespaces } from "./namespaces/open.ts";
import { Publisher } from "./namespaces/publisher.ts";
import { silentObserver } from "./gateway/observer.ts";

/** An ingest whose entries are given by the test. */
class GivenEntries implements Ingest {
  deliver: (entry: IngestEntry) => Promise<IngestVerdict> = async () => assert.fail("it was not started");

  async start(deliver: (entry: IngestEntry) => Promise<IngestVerdict>): Promise<() => Promise<void>> {
    this.deliver = deliver;
    return async () => {};
  }
}

async function begin(): Promise<{ memory: MemoryBackbone; entries: GivenEntries; refused: (string | undefined)[] }> {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const config = parseConfig({
    backbones: { default: { type: "memory" } },
    namespaces: { live: { backbone: "default" }, kept: { backbone: "default", retention: { messages: 10 } } },
  });
  const entries = new GivenEntries();
  const refused: (string | undefined)[] = [];
  await new Ingestion({
    namespaces: openNamespaces(config, new Map([["default", memory]])),
    publisher: new Publisher(clock, silentObserver),
    depth: 3,
    refused: (namespace, why) => refused.push(`${namespace?.name}: ${why}`),
  }).start([Object.assign(memory, { ingest: entries })]);
  return { memory, entries, refused };
}

test("on a channel without a log an entry that somebody may have published is not published again", async () => {
  const { memory, entries } = await begin();
  const frames: Frame[] = [];
  await memory.bus.subscribe("live:1", (frame) => frames.push(frame));
  const entry = { id: "1", channel: "live:1", data: "{}" };
  assert.equal(await entries.deliver({ ...entry, again: false }), "taken");
  assert.equal(await entries.deliver({ ...entry, again: true }), "taken");
  assert.equal(frames.length, 1);
});

test("on a channel with a log an entry that comes again is stored once", async () => {
  const { memory, entries } = await begin();
  for (const again of [false, true]) {
    assert.equal(await entries.deliver({ id: "1", channel: "kept:1", data: "{\n}", again }), "taken");
  }
  const { messages } = await memory.log.read("kept:1", { limit: 10 });
  assert.deepEqual(
    messages.map(({ data }) => data),
    ["{ }"],
  );
});

test("an entry that can never be published is refused with a reason that quotes nothing of it", async () => {
  const { entries, refused } = await begin();
  assert.deepEqual(await entries.deliver({ id: "1", channel: "kept:1", data: "[[[[]]]]", again: false }), {
    refused: "data is nested deeper than 3",
  });
  await entries.deliver({ id: "2", channel: "other:1", data: '"secret"', again: false });
  await entries.deliver({ id: "3", channel: "kept:1", data: '"secret', again: false });
  assert.deepEqual(refused, [
    "kept: data is nested deeper than 3",
    "undefined: channel has a namespace that is not configured",
    "kept: data is not JSON",
  ]);
});

test("an entry that cannot be published now stays: the backbone's error comes back", async () => {
  const { memory, entries } = await begin();
  await memory.close();
  await assert.rejects(entries.deliver({ id: "1", channel: "kept:1", data: "{}", again: false }));
});
