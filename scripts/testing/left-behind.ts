/** What a test file has started and not ended. Linux only: elsewhere nothing is found. */
import { readdirSync, readFileSync } from "node:fs";

/** In the environment of what a test file started: the number of its process; of several, where a test runs test files. */
export const MARK = "TODOKU_TEST_FILE";
/** In the environment of a test file: the number of the process that runs it. */
export const RUNNER = "TODOKU_TEST_RUNNER";

export interface LeftBehind {
  readonly pid: number;
  readonly command: string;
}

/** The living processes that the test file with this number, or what it started, has started; not `kept`, nor what these started. */
export function leftBehind(file: number, kept: readonly number[] = []): readonly LeftBehind[] {
  const pids = all();
  const parents = new Map(pids.map((pid) => [pid, parentOf(pid)]));
  const isKept = (pid: number | undefined): boolean =>
    pid !== undefined && (kept.includes(pid) || isKept(parents.get(pid)));
  return (
    pids
      .filter((pid) => pid !== file && marksOf(pid).includes(String(file)) && !isKept(pid))
      .map((pid) => ({ pid, command: read(pid, "cmdline").replaceAll("\0", " ").trim() }))
      // One that ended in between, or has ended and is not yet buried, has no command.
      .filter(({ command }) => command !== "")
  );
}

function all(): readonly number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

function marksOf(pid: number): readonly string[] {
  const line = read(pid, "environ")
    .split("\0")
    .find((one) => one.startsWith(`${MARK}=`));
  return line?.slice(MARK.length + 1).split(",") ?? [];
}

function parentOf(pid: number): number | undefined {
  const [, parent] = /\) \S (\d+) /.exec(read(pid, "stat")) ?? [];
  return parent === undefined ? undefined : Number(parent);
}

function read(pid: number, what: "cmdline" | "environ" | "stat"): string {
  try {
    return readFileSync(`/proc/${pid}/${what}`, "utf8");
  } catch {
    // It has ended in the meantime.
    return "";
  }
}
