/**
 * Writes the reference pages that are made from the code: `npm run docs`. With `--check` it writes nothing and fails where
 * a page on disk differs; the test beside this file does the same.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { reference } from "./reference.ts";

const root = path.join(import.meta.dirname, "..");
const checking = process.argv.includes("--check");
const stale: string[] = [];

for (const [file, text] of reference()) {
  const target = path.join(root, file);
  if (existsSync(target) && readFileSync(target, "utf8") === text) continue;
  stale.push(file);
  if (!checking) writeFileSync(target, text);
}

for (const file of stale) console.log(checking ? `${file} differs from the code; run npm run docs` : `wrote ${file}`);
process.exitCode = checking && stale.length > 0 ? 1 : 0;
