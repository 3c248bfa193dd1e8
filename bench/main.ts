/** `npm run bench -- SCENARIO… [--json] [--repeats N] [--dose SHARE] [--write]`: measures, and prints tables. See README.md. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { benchmarkPages } from "../scripts/benchmarks-page.ts";
import { costs } from "./costs.ts";
import { DOSE } from "./dose.ts";
import { keep, keptResults } from "./kept-results.ts";
import { CAN_PIN, GENERATOR_CORE, pin } from "./process-cost.ts";
import { goalsOf, runOf, tableOf } from "./report.ts";
import type { Result } from "./result.ts";
import { isSound, runScenario } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";
import { printTable } from "./table.ts";

const ROOT = path.join(import.meta.dirname, "..");
const REPEATS = 5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean" },
    write: { type: "boolean" },
    repeats: { type: "string" },
    // Read where it is used: see dose.ts.
    dose: { type: "string" },
  },
});
const repeats = Number(values.repeats ?? REPEATS);
/** Scenarios together under one name. */
const groups: Readonly<Record<string, readonly Scenario[]>> = {
  all: SCENARIOS.filter(({ apart }) => apart !== true),
  apart: SCENARIOS.filter(({ apart }) => apart === true),
};
const wanted = SCENARIOS.filter((scenario) =>
  positionals.some((name) => name === scenario.name || groups[name]?.includes(scenario)),
);
const unknown = positionals.filter(
  (name) => name !== "costs" && !groups[name] && !SCENARIOS.some((one) => one.name === name),
);

if (positionals.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`there is no scenario ${JSON.stringify(unknown[0])}\n`);
  listScenarios();
  process.exitCode = unknown.length > 0 ? 2 : 0;
} else if (positionals.includes("costs")) {
  await costs(values.write === true);
} else if (!Number.isSafeInteger(repeats) || repeats < 1) {
  console.error(`--repeats takes a number from 1 on, not ${JSON.stringify(values.repeats)}`);
  process.exitCode = 2;
} else if (values.write === true && DOSE < 1) {
  console.error("--write keeps what was measured at full size: leave --dose away");
  process.exitCode = 2;
} else {
  await run();
}

function listScenarios(): void {
  console.log("npm run bench -- SCENARIO… | all | apart [--repeats N] [--dose SHARE] [--json] [--write]\n");
  for (const { name, title, expectedSeconds, apart } of SCENARIOS) {
    const note = apart === true ? ", one of `apart`" : "";
    console.log(`  ${name.padEnd(16)} ${title}, ${minutes(expectedSeconds * REPEATS)}${note}`);
  }
  for (const [name, scenarios] of Object.entries(groups)) {
    const together = scenarios.reduce((sum, { expectedSeconds }) => sum + expectedSeconds, 0);
    console.log(`  ${name.padEnd(16)} ${minutes(together * REPEATS)}`);
  }
  console.log("");
  console.log("--dose 0.05 takes a twentieth of connections, channels and messages: to see that a scenario runs");
  console.log("--write keeps the results in bench/results/ and makes docs/reference/benchmarks.md of them");
}

async function run(): Promise<void> {
  const tell = (line: string): void => console.error(line);
  tell(
    `${minutes(wanted.reduce((sum, { expectedSeconds }) => sum + expectedSeconds, 0) * repeats)} on a quiet machine`,
  );
  if (!CAN_PIN) tell("processes share the cores: that takes two cores and `taskset`");
  pin(process.pid, GENERATOR_CORE);
  const results: Result[] = [];
  const broken: string[] = [];
  for (const scenario of wanted) {
    const { name, title, expectedSeconds } = scenario;
    const again = repeats === REPEATS ? "" : ` --repeats ${repeats}`;
    const begun = performance.now();
    try {
      const result = await runScenario(scenario, { repeats, command: `npm run bench -- ${name}${again}`, tell });
      results.push(result);
      if (!values.json) print(result);
      if (values.write) write(result);
      if (!isSound(result)) broken.push(`${title}: something failed, or was missing, repeated or wrong`);
    } catch (error) {
      broken.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const seconds = Math.round((performance.now() - begun) / 1000);
    tell(`  ${name} took ${seconds} s; on a quiet machine it should be ${expectedSeconds * repeats} s`);
  }
  if (values.json) console.log(JSON.stringify(results, undefined, 2));
  for (const line of broken) tell(line);
  // Not only its code: a scenario that was given up may still wait for something.
  process.exit(broken.length > 0 ? 1 : 0);
}

/** After each scenario: what is measured is not lost when a later one fails. */
function write(result: Result): void {
  keep(result);
  for (const [file, text] of benchmarkPages(keptResults())) writeFileSync(path.join(ROOT, file), text);
}

function print(result: Result): void {
  const { title, about, absent, machine, versions, date } = result;
  console.log(`\n## ${title}\n\n${about}\n`);
  const { head, rows } = tableOf(result);
  printTable(head, rows);
  console.log(`\nMedians; ${runOf(result)}.`);
  for (const line of goalsOf(result)) console.log(line);
  for (const [name, why] of Object.entries(absent)) console.log(`${name}: ${why}`);
  const parts = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  console.log(
    `${date}; ${machine.cores} × ${machine.processor}, ${machine.memoryGB} GB, ${machine.system}; ${parts.join(", ")}\n`,
  );
}

function minutes(seconds: number): string {
  return seconds < 90 ? `about ${Math.ceil(seconds)} s` : `about ${Math.ceil(seconds / 60)} min`;
}
