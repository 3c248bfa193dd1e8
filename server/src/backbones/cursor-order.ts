import type { Cursor } from "./contract.ts";

/** Within an epoch a cursor only moves forward. */
export function movesBack(stored: Cursor | undefined, next: Cursor): boolean {
  return stored?.position.epoch === next.position.epoch && next.position.offset < stored.position.offset;
}

/**
 * The fence of the next claim. Fences rise with the clock, so that they go on rising in a store that has lost all of them:
 * a claim made after the loss still fences off who held the cursor before.
 */
export function nextFence(fence: number, now: number): number {
  return Math.max(fence + 1, now);
}
