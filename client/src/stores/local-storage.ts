import type { Position } from "@todoku/protocol";
import type { CursorStore } from "../cursor-store.ts";

/** What of the Web Storage interface is used; `sessionStorage` fits as well. */
export interface WebStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/**
 * Positions in the browser's `localStorage`, one entry per channel. Simple and fast; written at once, but a browser that crashes
 * may lose the last ones.
 *
 * @param prefix Of the entries' names, default `todoku:`. Tabs that share a prefix share their positions.
 * @param storage Default `localStorage`.
 */
export function localStorageCursors(prefix: string = "todoku:", storage?: WebStorage): CursorStore {
  // Looked up at the first use, so that a page that is rendered on a server can be set up there.
  const entries = (): WebStorage => storage ?? globalThis.localStorage;
  return {
    get: (key) => {
      const text = entries().getItem(prefix + key);
      return text === null ? undefined : (JSON.parse(text) as Position);
    },
    set: (key, { epoch, offset }) => entries().setItem(prefix + key, JSON.stringify({ epoch, offset })),
    delete: (key) => entries().removeItem(prefix + key),
  };
}
