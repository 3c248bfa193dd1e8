/**
 * Runs the test files: all, or those whose path contains one of the arguments. Ends with the runner's own summary.
 */
import { globSync } from "node:fs";
import { takeDown, running } from "./brokers/running.ts";
import { RECIPES } from "./brokers/recipes.ts";
import { chromiumPath } from "./chromium.ts";
import { runFiles } from "./testing/run-files.ts";

const ROOMS = "{protocol,client,server,admin,tests,examples,scripts,bench}";
const all = globSync(`${ROOMS}/**/*.test.ts`, {
  exclude: (file) => file.includes("node_modules") || file.includes("/dist/"),
});
// Whole systems first: they take longest, and what is short then fills both lanes to the end.
const order = (file: string): string => `${file.startsWith("tests") ? 0 : 1}${file}`;
all.sort((a, b) => (order(a) < order(b) ? -1 : 1));

const patterns = process.argv.slice(2);
const files = patterns.length === 0 ? all : all.filter((file) => patterns.some((pattern) => file.includes(pattern)));
if (files.length === 0) {
  console.error(`no test file has ${patterns.map((pattern) => JSON.stringify(pattern)).join(" or ")} in its path`);
  process.exit(1);
}

if (files.some((file) => file.endsWith(".browser.test.ts"))) {
  try {
    process.env["TODOKU_CHROMIUM"] = chromiumPath();
  } catch (error) {
    console.error(`browser tests cannot run: ${error instanceof Error ? error.message : String(error)}`);
    if (process.env["CI"] === "true" || process.env["TODOKU_REQUIRE_BROWSER"] === "1") process.exit(1);
  }
}

// Tests start the brokers they need; those that ran before are left running.
const ranBefore = new Set(RECIPES.filter(({ name }) => running(name)).map(({ name }) => name));

const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interrupted.abort());

const ok = await runFiles(files, {
  concurrency: 2,
  patience: { testMs: 400_000, endMs: 30_000 },
  kept: () => RECIPES.flatMap(({ name }) => running(name)?.pids ?? []),
  signal: interrupted.signal,
});
for (const { name } of RECIPES) if (!ranBefore.has(name)) await takeDown(name);
process.exit(ok ? 0 : 1);
