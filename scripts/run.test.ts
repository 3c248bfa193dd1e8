import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";

/** A checkout that needs installing, with a stand-in for npm that says when it is called. */
class Checkout implements Disposable {
  readonly root: string = mkdtempSync(path.join(tmpdir(), "todoku-run-"));
  readonly calls: string = path.join(this.root, "calls");

  /** `npm` is the body of the shell script that stands in for npm. */
  constructor(npm: string) {
    for (const folder of ["scripts", "bin"]) mkdirSync(path.join(this.root, folder));
    copyFileSync(path.join(import.meta.dirname, "run.mjs"), path.join(this.root, "scripts", "run.mjs"));
    writeFileSync(path.join(this.root, "package-lock.json"), "{}");
    writeFileSync(path.join(this.root, "scripts", "test.ts"), 'console.log("ran");');
    writeFileSync(path.join(this.root, "bin", "npm"), `#!/bin/sh\necho called >> "${this.calls}"\n${npm}\n`);
    chmodSync(path.join(this.root, "bin", "npm"), 0o755);
  }

  run(hear: (error: string) => void = () => {}): Promise<{ code: number | null; out: string; error: string }> {
    const child = spawn(process.execPath, [path.join(this.root, "scripts", "run.mjs"), "test"], {
      env: { ...process.env, PATH: `${path.join(this.root, "bin")}${path.delimiter}${process.env["PATH"]}` },
    });
    let out = "";
    let error = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => hear((error += chunk.toString())));
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, error })));
  }

  get installations(): number {
    return existsSync(this.calls) ? readFileSync(this.calls, "utf8").trim().split("\n").length : 0;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

const INSTALLS = "mkdir -p node_modules";

describe("run.mjs", { skip: process.platform === "win32" && "the stand-in for npm is a shell script" }, () => {
  test("installs once, and not again while the lock file is the same", async () => {
    using checkout = new Checkout(INSTALLS);
    const first = await checkout.run();
    assert.deepEqual([first.code, first.out], [0, "ran\n"], first.error);
    assert.match(first.error, /installing what is missing.*\n.*installed in \d+ s/);
    const second = await checkout.run();
    assert.deepEqual(second, { code: 0, out: "ran\n", error: "" });
    assert.equal(checkout.installations, 1);
    writeFileSync(path.join(checkout.root, "package-lock.json"), '{"changed":true}');
    await checkout.run();
    assert.equal(checkout.installations, 2);
  });

  test("two commands at once install once: the second waits for the first", async () => {
    using checkout = new Checkout(`until test -e "$(dirname "$0")/go"; do sleep 0.02; done; ${INSTALLS}`);
    const go = (): void => writeFileSync(path.join(checkout.root, "bin", "go"), "");
    let second: ReturnType<Checkout["run"]> | undefined;
    const first = await checkout.run((error) => {
      if (error.includes("installing what is missing"))
        second ??= checkout.run((waiting) => waiting.includes("waiting for it") && go());
    });
    assert.equal(first.code, 0, first.error);
    assert.equal((await second)?.out, "ran\n");
    assert.equal(checkout.installations, 1);
  });

  test("what a killed command left behind is not waited for", async () => {
    using checkout = new Checkout(INSTALLS);
    const dead = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => dead.on("close", resolve));
    writeFileSync(path.join(checkout.root, ".installing"), String(dead.pid));
    assert.equal((await checkout.run()).code, 0);
    assert.ok(!existsSync(path.join(checkout.root, ".installing")));
  });

  test("a failed installation says so, and can be tried again", async () => {
    using checkout = new Checkout(
      'test -e again && mkdir -p node_modules && exit; touch again; echo "no network" >&2; exit 1',
    );
    const failed = await checkout.run();
    assert.deepEqual([failed.code, failed.out], [1, ""]);
    assert.match(failed.error, /no network\n.*npm ci failed; its own words are above/);
    assert.equal((await checkout.run()).code, 0);
  });
});
