import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./clock.ts";

test("a timer of thirty days does not go off at once, and can be cancelled", async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  let called = false;
  const cancel = systemClock.after(30 * 86_400_000, () => {
    called = true;
  });
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  cancel();
  process.off("warning", warned);
  assert.equal(called, false);
  assert.deepEqual(warnings, []);
});
