/** Results that are kept with the code: the page of benchmarks is made from them. */
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Result } from "./result.ts";

const FOLDER = path.join(import.meta.dirname, "results");
const DIGITS = 4;

export function keep(result: Result): void {
  mkdirSync(FOLDER, { recursive: true });
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
  writeFileSync(path.join(FOLDER, `${result.scenario}.json`), `${JSON.stringify(result, rounded, 1)}\n`);
}

/** Of all scenarios that were ever kept, by their names. */
export function keptResults(): readonly Result[] {
  const files = globSync("*.json", { cwd: FOLDER }).toSorted();
  return files.map((file) => JSON.parse(readFileSync(path.join(FOLDER, file), "utf8")) as Result);
}
