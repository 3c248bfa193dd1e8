import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { conformance } from "../conformance.ts";
import { BackboneError, type Backbone, type Bus, type Frame } from "../contract.ts";
import { EmbeddedBackbone } from "../embedded/embedded.ts";
import { MemoryBackbone } from "../memory.ts";
import { RemoteHarness } from "./remote-harness.ts";
import { WIRE } from "./wire.ts";

const overMemory = (): Promise<RemoteHarness> =>
  RemoteHarness.start("memory", (_, clock) => new MemoryBackbone({}, clock));
const overEmbedded = (): Promise<RemoteHarness> =>
  RemoteHarness.start("embedded", (folder, clock) => new EmbeddedBackbone("local", { path: folder }, clock));

conformance("memory in another process", overMemory);
conformance("embedded in another process", overEmbedded);

const KEEP = { retention: {} };
const message = (data: string): { id: string; time: number; data: string } => ({ id: "m", time: Date.now(), data });

async function started(context: TestContext): Promise<RemoteHarness> {
  const harness = await overMemory();
  context.after(() => harness.close());
  return harness;
}

/** Listens; `next` resolves with the first frame of a kind that has come since it was last called. */
async function listen(backbone: Backbone, channel: string): Promise<(kind: Frame["kind"]) => Promise<Frame>> {
  const frames: Frame[] = [];
  let wake = (): void => {};
  await backbone.bus!.subscribe(channel, (frame) => {
    frames.push(frame);
    wake();
  });
  return async (kind) => {
    for (;;) {
      const at = frames.findIndex((frame) => frame.kind === kind);
      const found = frames[at];
      if (found) {
        frames.splice(0, at + 1);
        return found;
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
}

async function reasonOf(call: Promise<unknown>): Promise<BackboneError["reason"] | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof BackboneError, String(error));
    return error.reason;
  }
}

describe("a store in another process", () => {
  test("is shared, whatever the store says of itself", async (context) => {
    const harness = await started(context);
    const remote = await harness.open();
    assert.deepEqual(remote.capabilities, { ...harness.owner.capabilities, shared: true });
  });

  test("while its owner is gone calls are refused at once; listeners are told when it is back", async (context) => {
    const harness = await started(context);
    const remote = await harness.open();
    const next = await listen(remote, "a");
    await harness.stopOwner();
    const gone = await reasonOf(remote.log!.append("a", message("1"), KEEP));
    assert.ok(gone === "unavailable" || gone === "unknown");
    assert.equal(await reasonOf(remote.log!.append("a", message("1"), KEEP)), "unavailable");
    assert.equal(await reasonOf(remote.check()), "unavailable");
    await harness.startOwner();
    await next("interrupted");
    await remote.log!.append("a", message("2"), KEEP);
    await next("message");
  });

  test("a call that was under way when the owner went has an unknown outcome, a question has none", async (context) => {
    const harness = await started(context);
    const never = (): Promise<never> => new Promise(() => {});
    const log = { ...harness.owner.log!, append: never, heads: never };
    const { backbone, cut } = await harness.served({ ...harness.owner, ...lifeOf(harness.owner), log });
    const append = reasonOf(backbone.log!.append("a", message("1"), KEEP));
    const heads = reasonOf(backbone.log!.heads(["a"]));
    // Answered in their order: the two are there.
    await backbone.check();
    await cut();
    assert.equal(await append, "unknown");
    assert.equal(await heads, "unavailable");
  });

  test("the store's own refusals keep their reason and their words", async (context) => {
    const harness = await started(context);
    const full = new BackboneError("full", "[local] no space left");
    const log = { ...harness.owner.log!, append: () => Promise.reject(full) };
    const { backbone } = await harness.served({ ...harness.owner, ...lifeOf(harness.owner), log });
    await assert.rejects(backbone.log!.append("a", message("1"), KEEP), { reason: "full", message: full.message });
  });

  test("a frame crosses the socket once for each process, however many listen there", async (context) => {
    const harness = await started(context);
    const remote = await harness.open();
    let subscribed = 0;
    const bus = harness.owner.bus!;
    const counting: Bus = {
      ...bus,
      subscribe: (channel, listener) => {
        subscribed++;
        return bus.subscribe(channel, listener);
      },
    };
    const { backbone } = await harness.served({ ...harness.owner, ...lifeOf(harness.owner), bus: counting });
    const listeners = await Promise.all(Array.from({ length: 5 }, () => listen(backbone, "a")));
    await remote.bus!.publish("a", { kind: "signal", signal: "1" });
    await Promise.all(listeners.map((next) => next("signal")));
    assert.equal(subscribed, 1);
  });

  test("a process that reads too slowly loses frames, is told, and nobody else is affected", async (context) => {
    const harness = await started(context);
    const slow = connect(harness.place);
    context.after(() => slow.destroy());
    const text: string[] = [];
    slow.on("data", (chunk: Buffer) => text.push(chunk.toString()));
    await once(slow, "data");
    slow.write('[[1,"bus.subscribe","a"]]\n');
    await once(slow, "data");
    slow.pause();
    const swift = await harness.open();
    const next = await listen(swift, "a");
    const signal = "x".repeat(1024 * 1024);
    for (let i = 0; i < 64; i++) {
      await swift.bus!.publish("a", { kind: "signal", signal });
      await next("signal");
    }
    text.length = 0;
    slow.resume();
    for (;;) {
      await once(slow, "data");
      if (text.slice(-2).join("").includes('["interrupted"]')) break;
    }
    const frames = text.join("").split('["frame"').length - 1;
    assert.ok(frames < 40, `${frames} of 64 frames of 1 MiB were kept for it`);
  });

  test("more than 64 MiB of unanswered calls are refused, and said not to have happened", async (context) => {
    const harness = await started(context);
    const waits = { ...harness.owner.log!, append: () => new Promise<never>(() => {}) };
    const { backbone, cut } = await harness.served({ ...harness.owner, ...lifeOf(harness.owner), log: waits });
    const data = JSON.stringify("x".repeat(1024 * 1024));
    const outcomes = Array.from({ length: 80 }, () => reasonOf(backbone.log!.append("a", message(data), KEEP)));
    await cut();
    const counted = Object.groupBy(await Promise.all(outcomes), (reason) => reason ?? "done");
    assert.deepEqual(Object.keys(counted).toSorted(), ["unavailable", "unknown"]);
    assert.ok(counted.unavailable!.length >= 16);
  });

  test("an owner of another version is refused by its number", async (context) => {
    const harness = await started(context);
    await harness.stopOwner();
    const { backbone } = await harness.greeting(JSON.stringify([["store", WIRE + 1]]));
    await assert.rejects(backbone.open(), /speaks version 2 of its wire, this process 1/);
  });

  test("what is no line of ours ends the connection, and the owner goes on", async (context) => {
    const harness = await started(context);
    const stranger = connect(harness.place);
    stranger.resume();
    stranger.write("GET / HTTP/1.1\r\n\r\n");
    await once(stranger, "close");
    await (await harness.open()).check();
  });
});

function lifeOf(backbone: Backbone): Pick<Backbone, "open" | "close" | "check"> {
  return { open: () => backbone.open(), close: () => backbone.close(), check: () => backbone.check() };
}
