/**
 * todoku inside a program, as an application has it: authenticated sessions, the namespaces' rules, metrics, positions; and
 * published to from the same process. Called with its port and its configuration as JSON.
 */
import { createServer } from "node:http";
import type { ConfigInput } from "../../server/src/config.ts";
import { createTodoku } from "../../server/src/index.ts";
import { obey } from "./obey.ts";

const [port = "", config = "{}"] = process.argv.slice(2);
const server = createServer();
const todoku = await createTodoku(JSON.parse(config) as ConfigInput);
todoku.attach(server);
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));

obey((channel, data) => {
  todoku.publish(channel, data).catch((error: unknown) => {
    // A publish that fails makes the figure worthless: the generator is told by the end of this process.
    console.error(error);
    process.exit(1);
  });
});
