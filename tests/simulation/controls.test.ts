/** The checks see something: broken on purpose, worlds break the promise that hangs on the broken part. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Promised } from "./findings.ts";
import { runSeeds } from "./run-seeds.ts";
import { SABOTAGES, type Sabotage } from "./sabotage.ts";

/** So many seeds keep every promise when nothing is broken. */
const SEEDS = 120;

const NOTICED_BY: Readonly<Record<Sabotage, Promised>> = {
  keys: "I3",
  cursors: "I6",
  positions: "I3",
  links: "I6",
};

for (const sabotage of SABOTAGES) {
  const rule = NOTICED_BY[sabotage];
  test(`with broken ${sabotage} the checks find what is against ${rule}`, async () => {
    const { failures } = await runSeeds(1, SEEDS, { sabotage });
    const against = failures.filter(({ findings }) => findings.some((finding) => finding.rule === rule));
    assert.ok(against.length > 0, `${failures.length} of ${SEEDS} seeds failed, and none of them against ${rule}`);
  });
}
