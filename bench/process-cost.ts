/** What a process costs, as the kernel counts it. Linux only. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

const TICKS_PER_SECOND = 100;
/** Less than this is not told apart from nothing. */
export const LEAST_CPU_SECONDS = 0.02;

/** Seconds of processor time, in the program and in the kernel for it. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The same of all that a process has started, without itself. */
export function cpuSecondsUnder(pid: number): number {
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child) + cpuSecondsUnder(child), 0);
}

function childrenOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? [] : children.split(" ").map(Number);
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
