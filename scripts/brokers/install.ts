/** Installs the Debian packages that a recipe needs and that are missing, without letting them start anything. */
import { spawnSync } from "node:child_process";
import { accessSync, chmodSync, constants, existsSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Recipe } from "./recipe.ts";

const POLICY = "/usr/sbin/policy-rc.d";

/** @throws Error that names the programs and how to get them. */
export function install({ name, programs }: Recipe): void {
  const absent = Object.entries(programs).filter(([program]) => !onPath(program));
  if (absent.length === 0) return;
  const packages = [...new Set(absent.map(([, debian]) => debian))];
  const wanted = `${name} needs ${absent.map(([program]) => program).join(", ")}: apt-get install ${packages.join(" ")}`;
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) throw new Error(wanted);
  console.error(`installing ${packages.join(", ")} …`);
  withoutAutostart(() => {
    apt(["update", "-qq"]);
    apt(["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  });
  if (Object.keys(programs).some((program) => !onPath(program))) throw new Error(`${wanted} did not help`);
}

/** A Debian package starts its service when it is installed, unless this file says no. */
function withoutAutostart(work: () => void): void {
  const own = !existsSync(POLICY);
  if (own) {
    writeFileSync(POLICY, "#!/bin/sh\nexit 101\n");
    chmodSync(POLICY, 0o755);
  }
  try {
    work();
  } finally {
    if (own) rmSync(POLICY);
  }
}

function apt(args: readonly string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  spawnSync("apt-get", args, { env, stdio: ["ignore", "ignore", "inherit"] });
}

function onPath(program: string): boolean {
  return [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin"].some((folder) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
