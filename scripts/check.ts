/** Format, lint, types, unused code, rules and folder names, side by side. Prints each part's time, and what failed. */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import path from "node:path";
import { checkRules } from "./rules.ts";

const BIN = path.join(import.meta.dirname, "..", "node_modules", ".bin");
const FORBIDDEN = new Set(["core", "common", "utils", "lib", "shared", "helpers"]);

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

const fix = process.argv.includes("--fix");

const parts: Record<string, () => Promise<Outcome>> = {
  format: () => run("oxfmt", fix ? ["."] : ["--check", "."]),
  lint: () => run("oxlint", ["--type-aware", "--deny-warnings", ...(fix ? ["--fix"] : [])]),
  "types protocol": () => run("tsc", ["-p", "protocol"]),
  "types client": () => run("tsc", ["-p", "client"]),
  "types everything": () => run("tsc", ["-p", "."]),
  "unused code": () => run("knip", []),
  "rules and tests": async () => checkRules(path.join(import.meta.dirname, "..")),
  "folder names": folderNames,
};

// Two at a time: each part uses several threads of its own.
const queue = Object.entries(parts);
const failed: string[] = [];
await Promise.all([worker(), worker()]);
process.exit(failed.length === 0 ? 0 : 1);

async function worker(): Promise<void> {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const [name, part] = next;
    const begun = performance.now();
    const { ok, output } = await part();
    console.log(`${ok ? "ok    " : "FAILED"} ${name.padEnd(17)} ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    if (!ok) {
      failed.push(name);
      console.log(output);
    }
  }
}

function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(path.join(BIN, command), args, { cwd: path.join(import.meta.dirname, "..") });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", (error) => resolve({ ok: false, output: String(error) }));
    child.on("close", (code) => resolve({ ok: code === 0, output }));
  });
}

async function folderNames(): Promise<Outcome> {
  const found = globSync("{protocol,client,server,admin,tests,bench,examples,docs,scripts}/**/", {
    cwd: path.join(import.meta.dirname, ".."),
    exclude: (name) => name.includes("node_modules") || name.includes("dist"),
  }).filter((folder) => FORBIDDEN.has(path.basename(folder)));
  return { ok: found.length === 0, output: `folders are named after what is in them, not ${found.join(", ")}` };
}
