/** Suites of this repository, run by Bun's own test runner: every program that they start is started by Bun as well. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

const ROOT = path.join(import.meta.dirname, "..");

const isMissing = spawnSync("bun", ["--version"]).status !== 0;
if (isMissing && process.env["TODOKU_REQUIRE_BROKERS"] === "all")
  throw new Error("bun is not installed, and TODOKU_REQUIRE_BROKERS=all says that nothing may be skipped: run npm ci");

/** Why nothing can be run on Bun, or false. */
export const withoutBun: string | false = isMissing && "bun is not installed";

/** Smaller doses: what is looked for here is a difference between the runtimes. */
const ENV = { TODOKU_KILLS: "10", TODOKU_HOSTILE_FRAMES: "12500" };

/** Bun tells that a test was skipped, and not why. Those that are not here are skipped on Node too, which tells it. */
const WHY: Readonly<Record<string, string>> = {
  "is understood as ws understands it": "Bun's own ws has no Receiver to compare with",
};

/** Each suite has a name, and is files or folders and other arguments of `bun test`. */
export function testOnBun(suites: Readonly<Record<string, readonly string[]>>): void {
  for (const [name, suite] of Object.entries(suites)) {
    test(name, async (t) => {
      const child = spawn("bun", ["--conditions=source", "test", "--timeout", "120000", ...suite], {
        cwd: ROOT,
        env: { ...process.env, ...ENV },
        stdio: ["ignore", "pipe", "pipe"],
        signal: t.signal,
      });
      const [[code], out, error] = await Promise.all([once(child, "close"), text(child.stdout), text(child.stderr)]);
      // Bun reports on standard error, and prints what is printed on standard output.
      const lines = `${out}${error}`.split("\n").filter((line) => line !== "" && !line.startsWith("(pass)"));
      assert.equal(code, 0, lines.join("\n"));
      const passed = Number(/(\d+) pass$/m.exec(error)?.[1]);
      assert.ok(passed > 0, error);
      t.diagnostic(`${passed} tests`);
      for (const line of new Set(lines.filter((line) => line.startsWith("(skip)")))) {
        const [, why = "for the reason that the run on Node prints"] =
          Object.entries(WHY).find(([ending]) => line.includes(ending)) ?? [];
        t.diagnostic(`${line}: ${why}`);
      }
    });
  }
}
