/** What is in the published packages, and what must not be. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = path.join(import.meta.dirname, "..");

test("the published server has all that its entries need, and nothing that only tests need", async () => {
  const tsc = path.join(root, "node_modules/typescript/bin/tsc");
  const { stdout } = await run(process.execPath, [tsc, "-p", "server/tsconfig.build.json", "--listFilesOnly"], {
    cwd: root,
  });
  const source = path.join(root, "server/src/");
  const published = stdout.split("\n").flatMap((file) => (file.startsWith(source) ? [file.slice(source.length)] : []));
  for (const entry of ["index.ts", "publisher.ts", "cli/main.ts", "backbones/conformance.ts"])
    assert.ok(published.includes(entry), entry);
  // The conformance suite is published: it is a test for backbones of other people.
  const testing = /from "(?:node:test|fast-check)"|\.test\.ts$|(?:^|\/)test-/;
  const unwanted = published.filter(
    (file) =>
      !/conformance/.test(file) && (testing.test(file) || testing.test(readFileSync(path.join(source, file), "utf8"))),
  );
  assert.deepEqual(unwanted, []);
  for (const harness of ["manual-clock.ts", "backbones/faulty.ts", "api/running-api.ts", "cli/program.ts"])
    assert.ok(!published.includes(harness), harness);
});
