/** Thousands of small worlds, each from one seed, and not one promise broken in any of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runSeed, runSeeds, tell } from "./run-seeds.ts";

/** Half a minute on one idle core. More, for a long run: TODOKU_LONG=1, or `npm run simulate -- --seeds 1..100000`. */
const SEEDS = process.env["TODOKU_LONG"] === undefined ? 2000 : 50_000;

test(`${SEEDS} seeds keep every promise`, async (context) => {
  const { failures, counts } = await runSeeds(1, SEEDS, { onFailure: (failure) => context.diagnostic(tell(failure)) });
  assert.equal(failures.length, 0, failures.map(tell).join("\n"));
  // Nothing is kept where nothing happens.
  assert.ok(counts.answered > 20 * SEEDS, `${counts.answered} publishes were answered`);
  assert.ok(counts.handled > 20 * SEEDS, `${counts.handled} messages were handled`);
  assert.ok(counts.gaps > SEEDS, `${counts.gaps} gaps were told`);
});

for (const [log, seed] of [
  ["memory", 3],
  ["embedded", 8],
] as const) {
  test(`a seed is the same world each time, with the log in ${log}`, async () => {
    const first = await journalOf(seed);
    const second = await journalOf(seed);
    assert.ok(first[0]?.includes(`"log":"${log}"`), first[0]);
    assert.ok(first.length > 100, `${first.length} lines`);
    assert.deepEqual(second, first);
  });
}

test("another seed is another world", async () => {
  assert.notDeepEqual(await journalOf(1), await journalOf(2));
});

async function journalOf(seed: number): Promise<readonly string[]> {
  const lines: string[] = [];
  await runSeed({ seed, write: (line) => lines.push(line) });
  return lines;
}
