/** The floor under everything that is written with Node and `ws`. */
import path from "node:path";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { ContenderProcess } from "../contender-process.ts";
import { versionOf } from "../package-version.ts";
import type { Server } from "./server.ts";

export const floor: Server = {
  name: "floor: bare ws loop",
  versions: () => ({ ws: versionOf("ws") }),
  start: async (port) => ContenderProcess.node(path.join(import.meta.dirname, "floor-program.ts"), [String(port)]),
  dialect: async () => centrifugal({}),
};
