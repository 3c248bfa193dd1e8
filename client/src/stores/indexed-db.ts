import type { Position } from "@todoku/protocol";
import type { CursorStore } from "../cursor-store.ts";

const STORE = "cursors";

/**
 * Positions in the browser's IndexedDB, which also workers have.
 *
 * @param name Of the database, default `todoku`. Tabs that share it share their positions.
 */
export function indexedDbCursors(name: string = "todoku"): CursorStore {
  let database: Promise<IDBDatabase> | undefined;

  async function run<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    database ??= open(name);
    let opened: IDBDatabase;
    try {
      opened = await database;
    } catch (error) {
      database = undefined;
      throw error;
    }
    const transaction = opened.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    await new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("error", () => reject(transaction.error));
      transaction.addEventListener("abort", () => reject(transaction.error));
    });
    return request.result;
  }

  return {
    get: (key) => run<Position | undefined>("readonly", (store) => store.get(key)),
    set: async (key, { epoch, offset }) => {
      await run("readwrite", (store) => store.put({ epoch, offset }, key));
    },
    delete: (key) => run("readwrite", (store) => store.delete(key)),
  };
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE));
    request.addEventListener("success", () => {
      const database = request.result;
      // Another tab with a newer version of this page must not wait for this one.
      database.addEventListener("versionchange", () => database.close());
      resolve(database);
    });
    request.addEventListener("error", () => reject(request.error));
  });
}
