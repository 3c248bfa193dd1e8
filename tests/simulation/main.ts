/** `npm run simulate -- --seed 123 [--verbose]` or `-- --seeds 1..5000`: worlds by their seeds. */
import { parseArgs } from "node:util";
import { runSeed, runSeeds, tell } from "./run-seeds.ts";

const { values } = parseArgs({
  options: { seed: { type: "string" }, seeds: { type: "string" }, verbose: { type: "boolean", default: false } },
});

if (values.seed !== undefined) await one(wholeNumber(values.seed));
else await many(values.seeds ?? "1..1000");

async function one(seed: number): Promise<void> {
  const write = values.verbose ? { write: (line: string) => process.stdout.write(`${line}\n`) } : {};
  const { findings, counts } = await runSeed({ seed, ...write });
  console.log(
    findings.length === 0
      ? `seed ${seed} keeps every promise (${counts.happened} happenings)`
      : tell({ seed, findings }),
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}

async function many(range: string): Promise<void> {
  const [from = "", to = from] = range.split("..");
  const begun = performance.now();
  const run = await runSeeds(wholeNumber(from), wholeNumber(to), {
    onFailure: (failure) => console.log(tell(failure)),
  });
  const seconds = (performance.now() - begun) / 1000;
  const { happened, answered, handled, gaps } = run.counts;
  console.log(
    `${run.failures.length} of ${run.seeds} seeds failed; ${Math.round(run.seeds / seconds)} seeds/s; ` +
      `${happened} happenings, ${answered} publishes answered, ${handled} messages handled, ${gaps} gaps told`,
  );
  process.exitCode = run.failures.length === 0 ? 0 : 1;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text))
    throw new Error(`a seed is a whole number, not ${JSON.stringify(text)}; --seeds takes 1..5000`);
  return Number(text);
}
