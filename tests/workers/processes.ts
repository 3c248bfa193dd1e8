/** The processes under a supervisor, as the system knows them. Linux only. */
import { readFileSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";
import type { ServerProcess } from "../server-process.ts";

/** Tells what was waited for where something hangs, and measures nothing: a busy machine may take a minute to start a process. */
const PATIENCE_MS = 100_000;

export interface Processes {
  /** In the order of their numbers, as far as they have come to be called so. */
  readonly workers: readonly number[];
  readonly store: number | undefined;
}

export function processesOf({ program: { pid } }: ServerProcess): Processes {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean).map(Number);
  // What it calls itself, or what it was called with: Bun's processes have no title.
  const titled = children.map((child) => {
    const [, title = ""] = /(?:^todoku|child\.ts) ((?:worker|store).*)/.exec(command(child)) ?? [];
    return { child, title };
  });
  const workers = titled.filter(({ title }) => title.startsWith("worker"));
  return {
    workers: workers.toSorted((a, b) => a.title.localeCompare(b.title)).map(({ child }) => child),
    store: titled.find(({ title }) => title.startsWith("store"))?.child,
  };
}

export function isAlive(pid: number): boolean {
  const state = /\) (\S)/.exec(read(`/proc/${pid}/stat`))?.[1];
  return state !== undefined && state !== "Z";
}

/** Sends it the signal, and resolves when another process is in its place: its supervisor has noticed, and nothing can reach it any more. */
export async function replaced(server: ServerProcess, pid: number, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  const all = (): readonly number[] => {
    const { workers, store } = processesOf(server);
    return store === undefined ? workers : [...workers, store];
  };
  const { length } = all();
  process.kill(pid, signal);
  await eventually(`another process in place of ${pid}`, () => {
    const now = all();
    return now.length === length && !now.includes(pid);
  });
}

interface Health {
  readonly status: string;
  readonly workers: { readonly running: number; readonly configured: number };
}

/** Resolves when everything that was configured runs and works. */
export async function whole(server: ServerProcess): Promise<void> {
  await eventually("all workers run", async () => {
    const { status, workers } = (await (await fetch(`${server.url}/health`)).json()) as Health;
    return status === "ok" && workers.running === workers.configured;
  });
}

export async function eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const held = await Promise.resolve()
      .then(holds)
      .catch(() => false);
    if (held) return;
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
    await after(25);
  }
}

function command(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
