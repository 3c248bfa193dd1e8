/** What a file whose damage shows only when it is read costs: an error that says so, and never a silent loss. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { open as openLmdb } from "lmdb";
import { ManualClock } from "../../manual-clock.ts";
import { BackboneError, type ReadOptions } from "../contract.ts";
import { EmbeddedBackbone } from "./embedded.ts";

async function opened(t: TestContext, folder: string): Promise<EmbeddedBackbone> {
  const backbone = new EmbeddedBackbone("local", { path: folder }, new ManualClock(1));
  await backbone.open();
  t.after(() => backbone.close());
  return backbone;
}

/** A log with five messages on `a` and on `b`, of which the third one of `a` is not there any more. */
async function damaged(t: TestContext): Promise<EmbeddedBackbone> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-damaged-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const whole = await opened(t, folder);
  for (const channel of ["a", "b"]) for (let i = 1; i <= 5; i++) await append(whole, channel, i);
  await whole.close();
  const root = openLmdb({ path: path.join(folder, "log.mdb"), maxDbs: 16 });
  assert.equal(await root.openDB({ name: "messages" }).remove(["a", 3]), true);
  await root.close();
  return opened(t, folder);
}

const append = (backbone: EmbeddedBackbone, channel: string, n: number) =>
  backbone.log.append(channel, { id: `${n}`, time: 1, data: `${n}` }, { retention: { messages: 100 } });

async function offsets(backbone: EmbeddedBackbone, channel: string, options: Partial<ReadOptions> = {}) {
  const { messages } = await backbone.log.read(channel, { limit: 100, ...options });
  return messages.map(({ offset }) => offset);
}

test("a stored message that is missing is an error which names it and the ways out, from either end of the log", async (t) => {
  const backbone = await damaged(t);
  for (const options of [{}, { after: 2 }, { reverse: true }, { after: 4, reverse: true }]) {
    await assert.rejects(offsets(backbone, "a", options), (error: unknown) => {
      assert.ok(error instanceof BackboneError);
      assert.equal(error.reason, "invalid");
      assert.equal(
        error.message,
        "[local] the log is damaged: message 3 of a was stored and is not there. Restore the data folder from a backup and run `todoku restored`, " +
          "or empty the channel with history_remove: its subscribers are then told of a gap",
      );
      return true;
    });
  }
});

test("what is not touched by the damage is read as before, and so is the channel once it was emptied", async (t) => {
  const backbone = await damaged(t);
  assert.deepEqual(await offsets(backbone, "b"), [1, 2, 3, 4, 5]);
  assert.deepEqual(await offsets(backbone, "a", { limit: 2 }), [1, 2]);
  assert.deepEqual(await offsets(backbone, "a", { after: 3 }), [4, 5]);
  await backbone.log.remove("a");
  assert.deepEqual(await offsets(backbone, "a"), []);
  assert.equal((await append(backbone, "a", 6)).offset, 6);
  assert.deepEqual(await offsets(backbone, "a", { after: 2 }), [6]);
});
