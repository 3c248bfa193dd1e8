/** `todoku serve --workers N` as operators run it, published to by a client. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { kill } from "node:process";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { ContenderProcess } from "../contender-process.ts";
import { cpuSecondsUnder } from "../process-cost.ts";
import type { Server } from "./server.ts";
import { configOf, type Keeping } from "./todoku.ts";
import { tokenOf } from "./token.ts";

/** The request with which its clients connect. */
export async function connect(): Promise<object> {
  return { token: await tokenOf() };
}

export function workers(count: number, keeping: Keeping): Server {
  return {
    name: nameOf(count, keeping),
    start: async (port) => {
      const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
      const { namespaces = {}, ...config } = configOf(keeping, path.join(folder, "data"));
      const c = { ...namespaces["c"], publish: "authenticated", info: false };
      const program = path.join(import.meta.dirname, "workers-program.ts");
      const given = { ...config, workers: count, http: { port }, namespaces: { c } };
      const args = [folder, JSON.stringify(given), JSON.stringify(await connect())];
      const process = ContenderProcess.node(program, args);
      const server = Number(await process.says("serving"));
      process.afterwards(() => {
        try {
          kill(server, "SIGKILL");
        } catch {
          // It has ended by itself.
        }
        rmSync(folder, { recursive: true, force: true });
      });
      return process;
    },
    // The program that starts it publishes, and serves nobody.
    cpuSeconds: ({ pid }) => cpuSecondsUnder(pid),
    dialect: async () => centrifugal(await connect(), { offsets: keeping !== "at-most-once" }),
  };
}

export function nameOf(count: number, keeping: Keeping): string {
  return `${count} ${count === 1 ? "process" : "processes"}, ${keeping}`;
}
