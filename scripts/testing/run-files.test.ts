import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { isAlive } from "../../tests/workers/processes.ts";

const RUNNER = path.join(import.meta.dirname, "run-files.ts");
const PROGRAM = `
import { runFiles } from ${JSON.stringify(RUNNER)};
const { signal } = new AbortController();
const [endMs, ...files] = process.argv.slice(2);
const patience = { testMs: 60_000, endMs: Number(endMs) };
const ok = await runFiles(files, { concurrency: 2, patience, kept: () => [], signal });
console.log(ok ? "all went well" : "not all went well");
`;
/** Test files write down here what they have started. */
const START = `
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { test } from "node:test";
const start = (how) => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], how);
  appendFileSync("started", child.pid + " ");
  return child;
};
`;
const GOOD = `${START}
test("ends what it starts", () => new Promise((resolve) => {
  const child = start({ stdio: "ignore" });
  child.once("exit", resolve);
  child.kill();
}));
`;
/** Tests of a suite that several files share are written in none of them. */
const SUITE = `import { test } from "node:test"; export const suite = () => test("is shared", () => {});`;
const SHARES = `${START}
import { suite } from "./suite.mjs";
suite();
start({ stdio: ["ignore", "pipe", "inherit"] });
`;
const HANGS = `${START}
test("waits for ever", { timeout: 200 }, async () => {
  start({ stdio: ["ignore", "pipe", "inherit"] });
  await new Promise(() => {});
});
test("goes on", () => {});
`;
const LEAVES = `${START}
test("forgets one", () => start({ stdio: "ignore", detached: true }).unref());
`;

async function runs(
  endMs: number,
  files: Readonly<Record<string, string>>,
): Promise<{ out: string; started: readonly number[] }> {
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-testing-"));
  try {
    // What is on Node's command line is given to the test files too: the program is a file as well.
    const all = { "program.mjs": PROGRAM, "suite.mjs": SUITE, ...files };
    for (const [name, source] of Object.entries(all)) writeFileSync(path.join(folder, name), source);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const flags = ["--conditions=source", "--disable-warning=ExperimentalWarning"];
    const child = spawn(process.execPath, [...flags, "program.mjs", String(endMs), ...Object.keys(files)], {
      cwd: folder,
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const out = await text(child.stdout);
    return { out, started: readFileSync(path.join(folder, "started"), "utf8").trim().split(" ").map(Number) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const skip = process.platform === "linux" ? false : "what a test file has started is only found on Linux";

test("what ends what it starts is left alone", { skip }, async () => {
  const { out } = await runs(60_000, { "good.test.mjs": GOOD });
  assert.match(out, /pass 1\n.*fail 0\n[^]*\nall went well\n$/);
});

test(
  "a file that hangs, or leaves something behind, fails by its name, and nothing of it lives on",
  { skip },
  async () => {
    const { out, started } = await runs(8_000, {
      "hangs.test.mjs": HANGS,
      "leaves.test.mjs": LEAVES,
      "shares.test.mjs": SHARES,
    });
    assert.match(out, /✖ waits for ever[^]*✔ goes on/);
    const [, failing = ""] = out.split("failing tests:");
    assert.match(
      failing,
      /✖ hangs\.test\.mjs\n.*the file hangs: its process did not end within 8 s of its last test\n.*alive: \d+ /,
    );
    assert.match(failing, /✖ leaves\.test\.mjs\n.*the file left processes behind, which were ended\n.*alive: \d+ /);
    assert.match(
      failing,
      /✖ shares\.test\.mjs\n.*the file hangs: its process did not end within 8 s of its last test\n/,
    );
    assert.match(out, /\nnot all went well\n$/);
    assert.equal(started.length, 3);
    assert.deepEqual(started.filter(isAlive), []);
  },
);
