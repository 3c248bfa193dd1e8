/**
 * Centrifugo's engine: a small program on `github.com/centrifugal/centrifuge`, in `peers/centrifuge`. Its settings are those that
 * its documentation recommends for the load; where it has several, there is a row for each, and others are compared with the best.
 */
import path from "node:path";
import { readFileSync } from "node:fs";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { build, programOf, type Recipe } from "../built.ts";
import { ContenderProcess } from "../contender-process.ts";
import type { Server } from "./server.ts";
import { SECRET, tokenOf } from "./token.ts";

const FOLDER = path.join(import.meta.dirname, "..", "peers", "centrifuge");

const RECIPE: Recipe = {
  name: "centrifuge",
  source: FOLDER,
  compiler: "go",
  args: (target) => ["build", "-trimpath", "-o", target, "."],
};

/**
 * - `history`: the last hundred messages are kept, and subscribers recover from them.
 * - `write-delay=…`: each connection's messages are collected for so long (`WriteDelay`, timers instead of loops, no limit per frame).
 * - `channel-batch=…`: each channel's messages are collected for so long (`GetChannelBatchConfig`).
 * - `off-read-loop`: for many idle connections (`ProcessCommandsOffReadLoop`).
 */
type Setting = "history" | "off-read-loop" | `write-delay=${string}` | `channel-batch=${string}`;

export function centrifugo(...settings: readonly Setting[]): Server {
  return {
    name: ["Centrifugo's engine", ...settings.map((setting) => setting.replace("=", " "))].join(", "),
    versions: () => ({ centrifuge: version() }),
    prepare: () => build(RECIPE),
    start: async (port) => new ContenderProcess(programOf(RECIPE), [String(port), SECRET, ...settings]),
    dialect: async () => centrifugal({ token: await tokenOf() }, { offsets: settings.includes("history") }),
  };
}

function version(): string {
  return /centrifugal\/centrifuge v(\S+)/.exec(readFileSync(path.join(FOLDER, "go.mod"), "utf8"))?.[1] ?? "unknown";
}
