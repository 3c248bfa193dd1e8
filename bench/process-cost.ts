/** What a process costs, as the kernel counts it. Linux only. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { kill } from "node:process";

const TICKS_PER_SECOND = 100;
/** Less than this is not told apart from nothing. */
export const LEAST_CPU_SECONDS = 0.02;

/** Seconds of processor time, in the program and in the kernel for it. */
export function cpuSeconds(pid: number, withEnded = false): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th behind it, then those of ended children.
  const [user = 0, system = 0, ...ended] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15)
    .map((field) => Number(field) / TICKS_PER_SECOND);
  const ofEnded = withEnded ? ended.reduce((sum, one) => sum + one, 0) : 0;
  // In whole ticks, which are coarse; that of its threads is finer, but lacks those that have ended.
  return Math.max(user + system, threadSeconds(pid)) + ofEnded;
}

/** Of the threads that a process has now, as the scheduler counts it in nanoseconds; 0 where it does not tell. */
function threadSeconds(pid: number): number {
  let nanoseconds = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [ran = "0"] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
      nanoseconds += Number(ran);
    }
  } catch {
    // A kernel without these counters, or a thread that has ended meanwhile.
    return 0;
  }
  return nanoseconds / 1e9;
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

/** Where what is measured runs, and where what loads it does. */
export const [SERVER_CORE, GENERATOR_CORE] = [0, 1] as const;

/** Whether processes can be given cores of their own: there are two, and `taskset`. */
export const CAN_PIN: boolean =
  cpus().length > 1 && spawnSync("taskset", ["-c", "-p", String(process.pid)]).status === 0;

/** Keeps all threads of a process on one core. Returns whether that was possible. */
export function pin(pid: number, core: number): boolean {
  return CAN_PIN && spawnSync("taskset", ["-a", "-c", "-p", String(core), String(pid)]).status === 0;
}
