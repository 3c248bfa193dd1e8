/** todoku, with the guarantee and the backbone that a row is about. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { ConfigInput } from "../../server/src/config.ts";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { ContenderProcess } from "../contender-process.ts";
import { versionOf } from "../package-version.ts";
import type { Server } from "./server.ts";
import { SECRET, tokenOf } from "./token.ts";

/** What becomes of a message: nothing is kept, the last hundred are kept in memory, or it is on disk before its publisher is answered. */
export type Keeping = "at-most-once" | "history in memory" | "at-least-once on disk";

const NAMESPACES = {
  "at-most-once": { delivery: "at-most-once" },
  "history in memory": { delivery: "at-most-once", retention: { messages: 100, age: "1m" } },
  "at-least-once on disk": { delivery: "at-least-once" },
} as const;

/** Its clients connect with tokens, and speak the plain Centrifugal protocol: the peer's do the same. */
export function todoku(keeping: Keeping, runtime: "node" | "bun" = "node"): Server {
  const onBun = runtime === "bun";
  return {
    name: onBun ? `todoku on Bun, ${keeping}` : `todoku, ${keeping}`,
    ...(onBun && { versions: () => ({ bun: versionOf("bun") }) }),
    start: async (port) => {
      const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
      const program = path.join(import.meta.dirname, onBun ? "todoku-on-bun-program.ts" : "todoku-program.ts");
      const config = configOf(keeping, path.join(folder, "data"));
      const process = ContenderProcess[runtime](program, [String(port), JSON.stringify(config)]);
      process.afterwards(() => rmSync(folder, { recursive: true, force: true }));
      return process;
    },
    dialect: async () => centrifugal({ token: await tokenOf() }, { offsets: keeping !== "at-most-once" }),
  };
}

export function configOf(keeping: Keeping, folder: string): ConfigInput {
  const off = "off";
  return {
    client: {
      // No row has a heartbeat within its measurement.
      ping: "10m",
      unauthenticated_per_address: 1000,
      rate: { connects: off, commands: off, publish: off, subscribe: off, user: off },
    },
    auth: { jwt: { hmac: SECRET } },
    backbones: {
      here: keeping === "at-least-once on disk" ? { type: "embedded", path: folder } : { type: "memory" },
    },
    namespaces: { c: { backbone: "here", subscribe: "authenticated", publish: "none", ...NAMESPACES[keeping] } },
    log: { level: "error" },
  };
}
