import type { Cursor } from "./contract.ts";

/** Within an epoch a cursor only moves forward. */
export function movesBack(stored: Cursor | undefined, next: Cursor): boolean {
  return stored?.position.epoch === next.position.epoch && next.position.offset < stored.position.offset;
}
