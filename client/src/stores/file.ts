/** An entry of its own (`@todoku/client/file`), because it needs a file system. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Position } from "@todoku/protocol";
import type { CursorStore } from "../cursor-store.ts";

/**
 * Positions in one JSON file, for Node and Bun. Each change writes a new file and puts it in the old one's place, so a killed
 * process leaves the last position whole. One process per file.
 *
 * `get` rejects when the file cannot be read or is not such a file.
 */
export function fileCursors(file: string): CursorStore {
  let loaded: Promise<Map<string, Position>> | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function positions(): Promise<Map<string, Position>> {
    loaded ??= load(file);
    try {
      return await loaded;
    } catch (error) {
      loaded = undefined;
      throw error;
    }
  }

  /** One write after the other: each one contains all that was set before it. */
  async function change(alter: (known: Map<string, Position>) => void): Promise<void> {
    const known = await positions();
    alter(known);
    const write = writing.then(() => replace(file, JSON.stringify(Object.fromEntries(known), undefined, 2)));
    writing = write.catch(() => {});
    await write;
  }

  return {
    get: async (key) => (await positions()).get(key),
    set: (key, { epoch, offset }) => change((known) => void known.set(key, { epoch, offset })),
    delete: (key) => change((known) => void known.delete(key)),
  };
}

async function load(file: string): Promise<Map<string, Position>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return new Map();
    throw error;
  }
  try {
    return new Map(Object.entries(JSON.parse(text) as Record<string, Position>));
  } catch (cause) {
    throw new Error(`${file} holds no positions: it is not JSON. Remove it to begin anew, or name another file`, {
      cause,
    });
  }
}

async function replace(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const next = `${file}.next`;
  await writeFile(next, `${text}\n`);
  await rename(next, file);
}
