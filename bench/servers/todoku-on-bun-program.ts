/**
 * todoku as `todoku serve` runs it on Bun, and published to from the same process. Called with its port and its configuration
 * as JSON.
 */
import type { ConfigInput } from "../../server/src/config.ts";
import { parseConfig } from "../../server/src/config-file.ts";
import { startServer } from "../../server/src/server.ts";
import { publishTo } from "../../server/src/typed-publish.ts";
import { obey } from "./obey.ts";

const [port = "", config = "{}"] = process.argv.slice(2);
const http = { host: "127.0.0.1", port: Number(port) };
const { todoku } = await startServer(parseConfig({ ...(JSON.parse(config) as ConfigInput), http }));
console.log("listening");

obey((channel, data) => {
  publishTo(todoku.platform, channel, data).catch((error: unknown) => {
    // A publish that fails makes the figure worthless: the generator is told by the end of this process.
    console.error(error);
    process.exit(1);
  });
});
