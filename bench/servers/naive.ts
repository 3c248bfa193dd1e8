/** The naive loop over `ws`: encoded and sent once per delivery. */
import path from "node:path";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { ContenderProcess } from "../contender-process.ts";
import { versionOf } from "../package-version.ts";
import type { Server } from "./server.ts";

export const naive: Server = {
  name: "naive ws loop",
  versions: () => ({ ws: versionOf("ws") }),
  start: async (port) => ContenderProcess.node(path.join(import.meta.dirname, "naive-program.ts"), [String(port)]),
  dialect: async () => centrifugal({}),
};
