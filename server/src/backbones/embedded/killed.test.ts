/** A process that is killed in the middle of its writes leaves everything that it had acknowledged, and nothing half. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { systemClock } from "../../clock.ts";
import { EmbeddedBackbone } from "./embedded.ts";

const ROUNDS = 4;
const LINES_PER_ROUND = 150;

/** Appends without end, several at once, and prints `channel offset key` after each answer. */
const WRITER = (folder: string): string => `
  import { EmbeddedBackbone } from ${JSON.stringify(path.join(import.meta.dirname, "embedded.ts"))};
  import { systemClock } from ${JSON.stringify(path.join(import.meta.dirname, "../../clock.ts"))};
  const backbone = new EmbeddedBackbone("local", { path: ${JSON.stringify(folder)} }, systemClock);
  await backbone.open();
  const write = async (channel) => {
    for (let i = 0; ; i++) {
      const key = process.pid + "-" + i;
      const message = { id: key, time: Date.now(), data: JSON.stringify(key + "x".repeat(500)) };
      const options = { retention: { messages: 10000 }, dedupe: { key, windowMs: 600000 } };
      const { offset } = await backbone.log.append(channel, message, options);
      process.stdout.write(channel + " " + offset + " " + key + "\\n");
    }
  };
  await Promise.all(["a", "b", "c"].map(write));`;

test("everything acknowledged before a SIGKILL is there, once, gapless and in order, with its key", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-killed-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const acknowledged = new Map<string, string>();
  let epoch: string | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, ["--conditions=source", "--input-type=module", "-e", WRITER(folder)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (lines.length === LINES_PER_ROUND) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    // The last line may be half a line.
    for (const line of lines.filter((one) => /^[abc] \d+ \d+-\d+$/.test(one)).slice(0, -1)) {
      const [channel, offset, key = ""] = line.split(" ");
      acknowledged.set(`${channel} ${offset}`, key);
    }

    const backbone = new EmbeddedBackbone("local", { path: folder }, systemClock);
    await backbone.open();
    const found = new Map<string, string>();
    for (const channel of ["a", "b", "c"]) {
      const { messages, head, epoch: now } = await backbone.log.read(channel, { limit: 100_000 });
      epoch ??= now;
      assert.equal(now, epoch, "nothing was lost, so the epoch stays");
      assert.deepEqual(
        messages.map(({ offset }) => offset),
        Array.from({ length: head }, (_, i) => i + 1),
      );
      assert.equal(new Set(messages.map(({ id }) => id)).size, messages.length);
      for (const { offset, id } of messages) found.set(`${channel} ${offset}`, id);
      const last = messages.at(-1);
      assert.ok(last);
      const options = { retention: {}, dedupe: { key: last.id, windowMs: 600_000 } };
      const repeated = await backbone.log.append(channel, { ...last, id: "again" }, options);
      assert.deepEqual(repeated, { epoch, offset: last.offset, duplicate: true });
    }
    for (const [place, key] of acknowledged) assert.equal(found.get(place), key, place);
    await backbone.close();
  }
  assert.ok(acknowledged.size >= (ROUNDS * LINES_PER_ROUND) / 2);
});
