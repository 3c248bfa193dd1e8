/**
 * The server of the example: todoku inside a Node HTTP server, quotes kept in a folder, and the page that draws them.
 *
 *     node --conditions=source examples/quotes/server.ts --port 8010 --data ./quotes-data
 */
import { createServer } from "node:http";
import path from "node:path";
import { parseArgs } from "node:util";
import { createTodoku } from "todoku";
import { pageFiles, sendPageFile } from "../page-files.ts";

const { values } = parseArgs({
  options: { port: { type: "string", default: "8010" }, data: { type: "string", default: "./quotes-data" } },
});

const todoku = await createTodoku({
  auth: { insecure: true },
  log: { level: "warn" },
  backbones: { local: { type: "embedded", path: values.data } },
  namespaces: { quotes: { backbone: "local", delivery: "exactly-once", subscribe: "any", history: "any" } },
});

const files = await pageFiles(path.join(import.meta.dirname, "browser"));
const server = createServer((request, response) =>
  todoku.handler(request, response, () => sendPageFile(response, files, request.url)),
);
todoku.attach(server);
server.listen(Number(values.port), "127.0.0.1", () => console.log(`quotes on http://localhost:${values.port}`));

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close();
    void todoku.close().then(() => process.exit(0));
  });
}
