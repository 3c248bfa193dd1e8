/** What a process costs, as the kernel counts it. Linux only. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { kill } from "node:process";

const TICKS_PER_SECOND = 100;
/** Less than this is not told apart from nothing. */
export const LEAST_CPU_SECONDS = 0.02;

/** Seconds of processor time, in the program and in the kernel for it. */
export function cpuSeconds(pid: number, withEnded = false): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th behind it, then those of ended children.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, withEnded ? 15 : 13).reduce((sum, field) => sum + Number(field), 0);
  return ticks / TICKS_PER_SECOND;
}

/** The same of all that a process has started, without itself: also of what they have started and has ended meanwhile. */
export function cpuSecondsUnder(pid: number): number {
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child, true) + cpuSecondsUnder(child), 0);
}

/** Ends all that this process has started. */
export function endChildren(): void {
  const end = (pid: number): void => {
    for (const child of childrenOf(pid)) {
      end(child);
      try {
        kill(child, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
  };
  end(process.pid);
}

function childrenOf(pid: number): readonly number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return children === "" ? [] : children.split(" ").map(Number);
  } catch {
    // It has ended between two looks, and so has nobody.
    return [];
  }
}

/** Seconds of processor time that the whole machine has spent on anything, all cores together, and on other machines beside it. */
export function machineSeconds(): number {
  const [first = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = first
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softIrq + steal) / TICKS_PER_SECOND;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const [, kilobytes = "0"] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

/** Whether processes can be given cores of their own: there are two, and `taskset`. */
export const CAN_PIN: boolean =
  cpus().length > 1 && spawnSync("taskset", ["-c", "-p", String(process.pid)]).status === 0;

/** Keeps all threads of a process on one core. Returns whether that was possible. */
export function pin(pid: number, core: number): boolean {
  return CAN_PIN && spawnSync("taskset", ["-a", "-c", "-p", String(core), String(pid)]).status === 0;
}
