/** The server that `todoku serve` starts, in one process. Called with its configuration as JSON. */
import type { ConfigInput } from "../../server/src/config.ts";
import { parseConfig } from "../../server/src/config-file.ts";
import { startServer } from "../../server/src/server.ts";

const [config = "{}"] = process.argv.slice(2);
await startServer(parseConfig(JSON.parse(config) as ConfigInput));
console.log("listening");
process.stdin.resume().on("end", () => process.exit());
