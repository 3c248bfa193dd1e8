/**
 * The server of the example: todoku inside a Node HTTP server, quotes kept in a folder, and the page that draws them.
 *
 *     node --conditions=source examples/quotes/server.ts --port 8010 --data ./quotes-data
 */
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";
import { createTodoku } from "todoku";

const { values } = parseArgs({
  options: { port: { type: "string", default: "8010" }, data: { type: "string", default: "./quotes-data" } },
});

const todoku = await createTodoku({
  auth: { insecure: true },
  log: { level: "warn" },
  backbones: { local: { type: "embedded", path: values.data } },
  namespaces: { quotes: { backbone: "local", delivery: "exactly-once", subscribe: "any", history: "any" } },
});

const files = await pageFiles();
const server = createServer((request, response) =>
  todoku.handler(request, response, () => send(response, files.get(request.url ?? "/"))),
);
todoku.attach(server);
server.listen(Number(values.port), "127.0.0.1", () => console.log(`quotes on http://localhost:${values.port}`));

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close();
    void todoku.close().then(() => process.exit(0));
  });
}

interface File {
  readonly type: string;
  readonly body: string;
}

async function pageFiles(): Promise<ReadonlyMap<string, File>> {
  const folder = new URL("browser/", import.meta.url);
  const bundled = await rolldown({
    input: fileURLToPath(new URL("main.ts", folder)),
    platform: "browser",
    resolve: { conditionNames: ["source", "import", "default"] },
  });
  const { output } = await bundled.generate({ format: "esm" });
  await bundled.close();
  return new Map([
    ["/", { type: "text/html; charset=utf-8", body: await readFile(new URL("index.html", folder), "utf8") }],
    ["/style.css", { type: "text/css; charset=utf-8", body: await readFile(new URL("style.css", folder), "utf8") }],
    ["/main.js", { type: "text/javascript; charset=utf-8", body: output[0].code }],
  ]);
}

function send(response: ServerResponse, file: File | undefined): void {
  if (!file) {
    response.writeHead(404).end();
    return;
  }
  response
    .writeHead(200, {
      "content-type": file.type,
      "content-security-policy": "default-src 'self'; img-src 'self' data:",
    })
    .end(file.body);
}
