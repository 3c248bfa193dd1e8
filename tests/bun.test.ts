/** todoku on Bun: the suites of protocol, gateway and server; and the SDK in a program of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { testOnBun, withoutBun } from "./bun-suite.ts";
import { ServerProcess } from "./server-process.ts";

const run = promisify(execFile);

describe("on Bun", { skip: withoutBun }, () => {
  testOnBun({
    "the protocol": ["./protocol/src"],
    "the gateway and its listeners": ["./server/src/gateway"],
    "the server, its API, its page and its command": [
      "./server/src/api",
      "./server/src/server.test.ts",
      "./server/src/index.test.ts",
      "./server/src/secrets.test.ts",
      "./server/src/page/page.test.ts",
      "./server/src/cli/serve.test.ts",
    ],
    "the backbones of one process": ["./server/src/backbones/embedded", "./server/src/backbones/memory.test.ts"],
  });

  test("the SDK publishes, receives, comes back after a cut, keeps its cursors in a file, and lets the process end", async () => {
    await using server = await ServerProcess.start("dev");
    const script = path.join(import.meta.dirname, "bun-client.ts");
    const { stdout } = await run("bun", ["--conditions=source", script, server.url, server.folder]);
    assert.deepEqual(JSON.parse(stdout), { runtime: true, handled: [1, 2, 3], offset: 3, stored: [1, 2, 3] });
    const kept = JSON.parse(readFileSync(path.join(server.folder, "cursors.json"), "utf8")) as Record<
      string,
      { offset: number }
    >;
    assert.equal(Object.values(kept)[0]?.offset, 3);
  });
});
