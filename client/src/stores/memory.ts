import type { Position } from "@todoku/protocol";
import type { CursorStore } from "../cursor-store.ts";

/** Positions in memory: they outlive a client, not the page or process. */
export function memoryCursors(): CursorStore {
  const positions = new Map<string, Position>();
  return {
    get: (key) => positions.get(key),
    set: (key, position) => void positions.set(key, position),
    delete: (key) => void positions.delete(key),
  };
}
