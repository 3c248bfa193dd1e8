/** A full disk refuses what is to be written, loses nothing that was acknowledged, and makes room as soon as it may. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { ManualClock } from "../../manual-clock.ts";
import { BackboneError, type AppendOptions } from "../contract.ts";
import { EmbeddedBackbone } from "./embedded.ts";

const MIB = 1024 * 1024;
const AN_HOUR: AppendOptions = { retention: { ageMs: 3_600_000 } };
const DATA = JSON.stringify("x".repeat(10_000));

interface Full {
  readonly backbone: EmbeddedBackbone;
  readonly clock: ManualClock;
  /** Offsets that were acknowledged, by channel. */
  readonly acknowledged: ReadonlyMap<string, readonly number[]>;
  readonly refusal: BackboneError;
}

/** Appends until it is refused. */
async function fill(folder: string, maxSize?: number): Promise<Full> {
  const clock = new ManualClock(Date.now());
  const backbone = new EmbeddedBackbone("local", { path: folder, ...(maxSize !== undefined && { maxSize }) }, clock);
  await backbone.open();
  const acknowledged = new Map<string, number[]>();
  for (let i = 0; ; i++) {
    const channel = `chat:${i % 7}`;
    try {
      const { offset } = await append(backbone, clock, channel);
      acknowledged.set(channel, [...(acknowledged.get(channel) ?? []), offset]);
    } catch (error) {
      assert.ok(error instanceof BackboneError, String(error));
      return { backbone, clock, acknowledged, refusal: error };
    }
    assert.ok(i < 10_000, "the disk was never full");
  }
}

function append(backbone: EmbeddedBackbone, clock: ManualClock, channel: string, options: AppendOptions = AN_HOUR) {
  return backbone.log.append(channel, { id: "m", time: clock.now(), data: DATA }, options);
}

async function mustKeep({ backbone, acknowledged }: Pick<Full, "backbone" | "acknowledged">): Promise<void> {
  for (const [channel, offsets] of acknowledged) {
    const { messages, trimmed } = await backbone.log.read(channel, { limit: 100_000 });
    assert.deepEqual(
      messages.map(({ offset }) => offset),
      offsets,
      channel,
    );
    assert.equal(trimmed, 0);
  }
}

async function mustRecover({ backbone, clock, acknowledged }: Full): Promise<void> {
  await clock.advance(3_600_000 + 5000);
  const [head] = await backbone.log.heads(["chat:0"]);
  const last = acknowledged.get("chat:0")?.at(-1) ?? 0;
  assert.deepEqual([head?.offset, head?.trimmed], [last, last], "what is too old was removed");
  assert.equal((await append(backbone, clock, "chat:0")).offset, last + 1);
}

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-full-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe("a log that takes as much as it may (max_size)", () => {
  test("is refused as full, naming what to do; reads go on; nothing acknowledged is lost, also after a restart", async (t) => {
    const folder = await folderFor(t);
    const full = await fill(folder, MIB);
    assert.equal(full.refusal.reason, "full");
    assert.equal(
      full.refusal.message,
      "[local] the log takes 1048576 bytes, as many as it may. Raise backbones.local.max_size, or keep less: shorten retention.age",
    );
    await mustKeep(full);
    await full.backbone.close();
    const again = new EmbeddedBackbone("local", { path: folder, maxSize: MIB }, full.clock);
    await again.open();
    await mustKeep({ ...full, backbone: again });
    await assert.rejects(append(again, full.clock, "chat:0"), { reason: "full" });
    await again.close();
  });

  test("still knows a repeated key: what is stored is stored", async (t) => {
    const clock = new ManualClock();
    const backbone = new EmbeddedBackbone("local", { path: await folderFor(t), maxSize: MIB }, clock);
    await backbone.open();
    const dedupe = { ...AN_HOUR, dedupe: { key: "k", windowMs: 60_000 } };
    const first = await append(backbone, clock, "chat:0", dedupe);
    await assert.rejects(async () => {
      for (;;) await append(backbone, clock, "chat:1");
    });
    assert.deepEqual(await append(backbone, clock, "chat:0", dedupe), { ...first, duplicate: true });
    await backbone.close();
  });

  test("takes cursors and removals, and publishes again once retention has made room", async (t) => {
    const full = await fill(await folderFor(t), MIB);
    const key = { channel: "chat:0", user: "ann", name: "phone" };
    const { fence } = await full.backbone.cursors.claim(key);
    const cursor = { position: { epoch: "e", offset: 1 }, sent: 1, attempts: 0 };
    assert.deepEqual(await full.backbone.cursors.write([{ key, fence, cursor }]), ["stored"]);
    await mustRecover(full);
    await full.backbone.close();
  });

  test("room that is made by hand is used at once", async (t) => {
    const { backbone, clock } = await fill(await folderFor(t), MIB);
    await backbone.log.remove("chat:1");
    await backbone.log.remove("chat:2");
    await append(backbone, clock, "chat:3");
    await backbone.close();
  });

  test("does not grow beyond it while what is too old is removed as fast as it comes", async (t) => {
    const folder = await folderFor(t);
    const { backbone, clock } = await fill(folder, MIB);
    let stored = 0;
    for (let i = 0; i < 300; i++) {
      await append(backbone, clock, "chat:steady", { retention: { ageMs: 10_000 } }).then(
        () => stored++,
        () => {},
      );
      await clock.advance(60_000);
    }
    assert.ok(stored >= 200, `${stored} of 300 were stored`);
    const { size } = await stat(path.join(folder, "log.mdb"));
    assert.ok(size < 1.5 * MIB, `${size} bytes`);
    await backbone.close();
  });
});

describe("a disk without space", () => {
  test("refuses as full, loses nothing acknowledged, reads on, and recovers by itself", async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), "todoku-full-"));
    t.after(async () => {
      spawnSync("umount", ["-l", folder]);
      await rm(folder, { recursive: true });
    });
    if (process.platform !== "linux" || process.getuid?.() !== 0)
      return t.skip("a small file system needs root on Linux");
    const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], {
      encoding: "utf8",
    });
    if (status !== 0) return t.skip(`no small file system can be mounted here: ${stderr}`);

    const full = await fill(folder);
    assert.equal(full.refusal.reason, "full");
    assert.equal(
      full.refusal.message,
      `[local] the disk of ${folder} is full but for what is kept free to work with. Free some space on it`,
    );
    await mustKeep(full);
    const dedupe = { ...AN_HOUR, dedupe: { key: "k", windowMs: 60_000 } };
    await assert.rejects(append(full.backbone, full.clock, "chat:0", dedupe), { reason: "full" });
    await full.backbone.close();

    const again = new EmbeddedBackbone("local", { path: folder }, full.clock);
    await again.open();
    await mustKeep({ ...full, backbone: again });
    await mustRecover({ ...full, backbone: again });
    await again.close();
  });
});
