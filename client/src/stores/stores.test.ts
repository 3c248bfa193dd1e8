/** Every cursor store keeps positions the same way. IndexedDB, which Node lacks, is held to it in a browser. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { CursorStore } from "../cursor-store.ts";
import { fileCursors } from "./file.ts";
import { localStorageCursors, type WebStorage } from "./local-storage.ts";
import { memoryCursors } from "./memory.ts";

const folder = mkdtempSync(path.join(tmpdir(), "todoku-cursors-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function mapStorage(): WebStorage & { readonly map: Map<string, string> } {
  const map = new Map<string, string>();
  return {
    map,
    getItem: (name) => map.get(name) ?? null,
    setItem: (name, value) => void map.set(name, value),
    removeItem: (name) => void map.delete(name),
  };
}

const stores: Record<string, () => CursorStore> = {
  memory: memoryCursors,
  localStorage: () => localStorageCursors("app:", mapStorage()),
  file: () => fileCursors(path.join(folder, "new", "folder", "cursors.json")),
};

for (const [name, make] of Object.entries(stores)) {
  test(`K19 the ${name} store gives back the position that was set last, by channel`, async () => {
    const store = make();
    assert.equal(await store.get("chat:1"), undefined);
    await store.set("chat:1", { epoch: "a", offset: 1 });
    await store.set("__proto__", { epoch: "p", offset: 2 });
    await store.set("chat:1", { epoch: "b", offset: 3 });
    assert.deepEqual(await store.get("chat:1"), { epoch: "b", offset: 3 });
    assert.deepEqual(await store.get("__proto__"), { epoch: "p", offset: 2 });
    await store.delete("chat:1");
    await store.delete("chat:never");
    assert.equal(await store.get("chat:1"), undefined);
  });
}

test("K19 the file store survives a restart", async () => {
  const file = path.join(folder, "restart.json");
  const before = fileCursors(file);
  await Promise.all([1, 2, 3].map(async (offset) => before.set("chat:1", { epoch: "a", offset })));
  await before.set("__proto__", { epoch: "p", offset: 9 });
  const afterwards = fileCursors(file);
  assert.deepEqual(await afterwards.get("chat:1"), { epoch: "a", offset: 3 });
  assert.deepEqual(await afterwards.get("__proto__"), { epoch: "p", offset: 9 });
});

test("a file that holds no positions is not overwritten, and the error says what to do", async () => {
  const file = path.join(folder, "notes.txt");
  writeFileSync(file, "milk, bread");
  const store = fileCursors(file);
  await assert.rejects(async () => store.get("chat:1"), /notes.txt holds no positions.*Remove it/);
  await assert.rejects(async () => store.set("chat:1", { epoch: "a", offset: 1 }), /holds no positions/);
  assert.equal(readFileSync(file, "utf8"), "milk, bread");
  writeFileSync(file, "{}");
  await store.set("chat:1", { epoch: "a", offset: 1 });
  assert.match(readFileSync(file, "utf8"), /chat:1/);
});

test("entries of localStorage have the prefix, and hold nothing but the position", async () => {
  const storage = mapStorage();
  await localStorageCursors(undefined, storage).set("chat:1", { epoch: "a", offset: 1 });
  await localStorageCursors("other:", storage).set("chat:1", { epoch: "b", offset: 2 });
  assert.deepEqual(
    [...storage.map],
    [
      ["todoku:chat:1", '{"epoch":"a","offset":1}'],
      ["other:chat:1", '{"epoch":"b","offset":2}'],
    ],
  );
});
