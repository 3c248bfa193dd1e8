/** Runs seeds one after the other and tells which broke a promise. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Finding } from "./findings.ts";
import { simulate, type Counts, type Outcome, type WorldOptions } from "./world.ts";

export interface Failure {
  readonly seed: number;
  readonly findings: readonly Finding[];
}

export interface Run {
  readonly failures: readonly Failure[];
  readonly seeds: number;
  /** What happened in all worlds together. */
  readonly counts: Counts;
}

/** One world. What rejects or throws past everyone inside it is a finding like any other. */
export async function runSeed(options: Omit<WorldOptions, "folder">): Promise<Outcome> {
  const folder = mkdtempSync(path.join(existsSync(MEMORY_DISK) ? MEMORY_DISK : tmpdir(), "todoku-simulation-"));
  const stray: Finding[] = [];
  const note = (error: unknown): void => {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    stray.push({ rule: "I10", detail: `nobody caught ${what}` });
  };
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  try {
    const outcome = await simulate({ ...options, folder });
    return { ...outcome, findings: [...outcome.findings, ...stray] };
  } catch (error) {
    note(error);
    return { findings: stray, counts: NOTHING };
  } finally {
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function runSeeds(
  from: number,
  to: number,
  {
    onFailure = () => {},
    ...options
  }: Omit<WorldOptions, "folder" | "seed"> & { onFailure?: (failure: Failure) => void } = {},
): Promise<Run> {
  const failures: Failure[] = [];
  let counts = NOTHING;
  for (let seed = from; seed <= to; seed++) {
    const { findings, counts: more } = await runSeed({ seed, ...options });
    counts = {
      happened: counts.happened + more.happened,
      answered: counts.answered + more.answered,
      handled: counts.handled + more.handled,
      gaps: counts.gaps + more.gaps,
    };
    if (findings.length === 0) continue;
    const failure = { seed, findings };
    failures.push(failure);
    onFailure(failure);
  }
  return { failures, seeds: to - from + 1, counts };
}

/** The findings of a seed, and how to see it again. */
export function tell({ seed, findings }: Failure): string {
  const shown = findings.slice(0, 5).map(({ rule, detail }) => `  ${rule}: ${detail}`);
  const more = findings.length > shown.length ? [`  … and ${findings.length - shown.length} more`] : [];
  return [`seed ${seed} (see it: npm run simulate -- --seed ${seed} --verbose)`, ...shown, ...more].join("\n");
}

const NOTHING: Counts = { happened: 0, answered: 0, handled: 0, gaps: 0 };

/** A file system in memory, where there is one. */
const MEMORY_DISK = "/dev/shm";
