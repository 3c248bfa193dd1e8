/** The floor under everything that is written with Bun. */
import path from "node:path";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { ContenderProcess } from "../contender-process.ts";
import { versionOf } from "../package-version.ts";
import type { Server } from "./server.ts";

export const bunFloor: Server = {
  name: "floor on Bun: its own topics",
  versions: () => ({ bun: versionOf("bun") }),
  start: async (port) => ContenderProcess.bun(path.join(import.meta.dirname, "bun-floor-program.ts"), [String(port)]),
  dialect: async () => centrifugal({}),
};
