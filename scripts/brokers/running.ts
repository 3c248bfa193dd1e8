/** The brokers that run now: started once, found by whoever needs them, ended together. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { install } from "./install.ts";
import { RECIPES } from "./recipes.ts";
import type { Recipe } from "./recipe.ts";

/** What is known of a running broker, by any process. */
export interface Running {
  readonly name: string;
  readonly urls: readonly string[];
  readonly pids: readonly number[];
  readonly folder: string;
}

/** Each checkout of the project has brokers of its own. */
const root = path.join(import.meta.dirname, "..", "..");
const place = path.join(tmpdir(), `todoku-brokers-${createHash("sha256").update(root).digest("hex").slice(0, 8)}`);
const STALE_LOCK_MS = 300_000;

export function recipeOf(name: string): Recipe {
  const recipe = RECIPES.find((candidate) => candidate.name === name);
  if (!recipe)
    throw new Error(
      `no broker is called ${JSON.stringify(name)}; there are ${RECIPES.map((one) => one.name).join(", ")}`,
    );
  return recipe;
}

/** The broker, if it runs. */
export function running(name: string): Running | undefined {
  const file = stateFile(name);
  if (!existsSync(file)) return undefined;
  const state = JSON.parse(readFileSync(file, "utf8")) as Running;
  return state.pids.every(isAlive) ? state : undefined;
}

/** Finds the broker or starts it, installing what is missing. @throws Error with the reason why it cannot be had. */
export async function bringUp(name: string): Promise<Running> {
  const recipe = recipeOf(name);
  mkdirSync(place, { recursive: true });
  return locked(name, async () => {
    const found = running(name);
    if (found) return found;
    await takeDown(name);
    // Two recipes may start at once, and may need the same packages.
    await locked("install", () => provide(recipe));
    const folder = mkdtempSync(path.join(place, `${name}-`));
    const { urls, servers } = await recipe.start(folder);
    const state = { name, urls, folder, pids: servers.flatMap(({ pid }) => pid ?? []) };
    writeFileSync(stateFile(name), JSON.stringify(state));
    return state;
  });
}

/** Brings what the recipe needs onto this machine. @throws Error with the reason why it cannot be had. */
export async function provide(recipe: Recipe): Promise<void> {
  install(recipe);
  await recipe.fetch?.();
}

/** Ends the broker and removes what it wrote. */
export async function takeDown(name: string): Promise<void> {
  const file = stateFile(name);
  if (!existsSync(file)) return;
  const { pids, folder } = JSON.parse(readFileSync(file, "utf8")) as Running;
  for (const pid of pids) signal(pid, "SIGTERM");
  const deadline = Date.now() + 10_000;
  while (pids.some(isAlive) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 25));
  for (const pid of pids) signal(pid, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
  rmSync(file);
}

/** Ends all brokers of this checkout. */
export async function takeAllDown(): Promise<readonly string[]> {
  const names = RECIPES.map(({ name }) => name).filter((name) => existsSync(stateFile(name)));
  for (const name of names) await takeDown(name);
  rmSync(place, { recursive: true, force: true });
  return names;
}

function stateFile(name: string): string {
  return path.join(place, `${name}.json`);
}

/** Two test files that want the same broker start it once. */
async function locked<T>(what: string, work: () => Promise<T>): Promise<T> {
  const lock = path.join(place, `.lock-${what}`);
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      // A lock that is gone is not stale: somebody else may be taking it right now.
      const held = statSync(lock, { throwIfNoEntry: false });
      if (held && Date.now() - held.mtimeMs > STALE_LOCK_MS) rmSync(lock, { recursive: true, force: true });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  return signal(pid, 0);
}

function signal(pid: number, what: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, what);
    return true;
  } catch {
    return false;
  }
}
