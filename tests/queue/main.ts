/** `npm run queues -- [--on embedded] [--jobs 1000000] [--rounds 10] [--seed 123]`: the long form of the queue test. */
import { parseArgs } from "node:util";
import { judge, tell } from "./judge.ts";
import { SETUPS } from "./setups.ts";
import { trial, type SetupName } from "./trial.ts";

const { values } = parseArgs({
  options: {
    on: { type: "string" },
    jobs: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "10" },
    seed: { type: "string" },
  },
});

const names = Object.keys(SETUPS) as SetupName[];
const chosen = names.filter((name) => values.on === undefined || values.on === name);
if (chosen.length === 0) throw new Error(`--on takes ${names.join(", ")}, not ${JSON.stringify(values.on)}`);

for (const name of chosen) {
  const faults = Array.from({ length: wholeNumber(values.rounds) }, () => SETUPS[name].faults).flat();
  const outcome = await trial(name, (line) => console.log(`${name}: ${line}`), {
    jobs: wholeNumber(values.jobs),
    faults,
    ...(values.seed !== undefined && { seed: wholeNumber(values.seed) }),
  });
  const violations = judge(outcome);
  console.log(`${name}: ${tell(violations)}`);
  if (violations.length > 0) process.exitCode = 1;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`a whole number is wanted, not ${JSON.stringify(text)}`);
  return Number(text);
}
