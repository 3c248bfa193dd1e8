/** The machine's shape, as far as it matters to a figure and tells nobody whose it is. */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGB: number;
  readonly system: string;
}

export function machine(): Machine {
  const all = cpus();
  return {
    cores: all.length,
    processor: all[0]?.model.trim() ?? "unknown",
    memoryGB: Math.round(totalmem() / 1e9),
    system: `${distribution()}, ${process.platform === "linux" ? "Linux" : process.platform} ${/^\d+\.\d+/.exec(release())?.[0]}`,
  };
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}
