/** The SDK in Bun, where that is installed: its own WebSocket, its own files. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ServerProcess } from "./server-process.ts";

const run = promisify(execFile);
const missing = spawnSync("bun", ["--version"]).status !== 0;

test(
  "the SDK in Bun publishes, receives, comes back after a cut, keeps its cursors in a file, and lets the process end",
  { skip: missing && "bun is not installed", timeout: 60_000 },
  async () => {
    await using server = await ServerProcess.start("dev");
    const script = path.join(import.meta.dirname, "bun-client.ts");
    const { stdout } = await run("bun", ["--conditions=source", script, server.url, server.folder]);
    assert.deepEqual(JSON.parse(stdout), { runtime: true, handled: [1, 2, 3], offset: 3, stored: [1, 2, 3] });
    const kept = JSON.parse(readFileSync(path.join(server.folder, "cursors.json"), "utf8")) as Record<
      string,
      { offset: number }
    >;
    assert.equal(Object.values(kept)[0]?.offset, 3);
  },
);
