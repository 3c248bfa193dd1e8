/** Programs in other languages that are built here, into a folder that git does not know. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import path from "node:path";

export const CACHE: string = path.join(import.meta.dirname, ".cache");
const PATIENCE_MS = 600_000;

export interface Recipe {
  /** Of the program that is built. */
  readonly name: string;
  /** A folder or a file; what is newer than the program has it built again. */
  readonly source: string;
  readonly compiler: string;
  args(target: string): readonly string[];
  /** For the compiler. */
  readonly env?: Readonly<Record<string, string>>;
}

export function programOf({ name }: Recipe): string {
  return path.join(CACHE, name);
}

/** Builds it unless that was done. Resolves with the reason where it cannot be. */
export async function build(recipe: Recipe): Promise<string | undefined> {
  const { source, compiler, args, env } = recipe;
  const target = programOf(recipe);
  if (existsSync(target) && statSync(target).mtimeMs > newest(source)) return undefined;
  mkdirSync(CACHE, { recursive: true });
  const cwd = statSync(source).isDirectory() ? source : path.dirname(source);
  const child = spawn(compiler, args(target), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: PATIENCE_MS,
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => (words += chunk.toString()));
  try {
    const [code] = (await once(child, "close")) as [number | null];
    return code === 0 ? undefined : `${compiler} cannot build it: ${words.trim().slice(-300)}`;
  } catch {
    return `it needs ${compiler}, which is not on this machine`;
  }
}

function newest(source: string): number {
  if (!statSync(source).isDirectory()) return statSync(source).mtimeMs;
  return Math.max(...readdirSync(source).map((file) => statSync(path.join(source, file)).mtimeMs));
}
