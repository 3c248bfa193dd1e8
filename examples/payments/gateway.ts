/** A gateway: a process of its own that serves the page and its connections. There are two, and neither knows anything that would be lost. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import path from "node:path";
import { createTodoku, ERRORS, TodokuError, type ConfigInput, type Hooks } from "todoku";
import { pageFiles, sendPageFile } from "../page-files.ts";
import { ENTRIES, isTransfer, MACHINES, TRANSFERS, type Channels, type Machines } from "./messages.ts";

const LEDGER = "ledger";
const [port = "", kafka = "", database = ""] = process.argv.slice(2);

const kept = { backbone: "events", delivery: "exactly-once", storage: "archive" } as const;
const config: ConfigInput = {
  log: { level: "silent" },
  backbones: {
    events: { type: "kafka", brokers: [kafka], partitions: 1 },
    here: { type: "memory" },
  },
  storage: { archive: { type: "postgres", url: database, keep: "3650d" } },
  namespaces: {
    transfers: { ...kept, publish: "authenticated" },
    ledger: { ...kept, publish: "authenticated", history: "authenticated", dedupe: "1d" },
    machines: { backbone: "here" },
  },
};

const hooks: Hooks = {
  onConnect: ({ token = "" }) => {
    if (token === process.env["LEDGER_KEY"]) return { user: LEDGER };
    // Whoever has the same secret is the same visitor. A real application has its sessions here.
    if (token.length < 20) throw new TodokuError(ERRORS.unauthorized);
    return { user: createHash("sha256").update(token).digest("hex").slice(0, 32) };
  },
  onSubscribe: ({ user }, channel) => {
    const open: readonly string[] = user === LEDGER ? [TRANSFERS] : [ENTRIES, MACHINES];
    if (!open.includes(channel)) throw new TodokuError(ERRORS.permissionDenied);
  },
  onPublish: ({ user }, channel, data) => {
    if (channel !== (user === LEDGER ? ENTRIES : TRANSFERS)) throw new TodokuError(ERRORS.permissionDenied);
    if (user !== LEDGER && !isTransfer(data)) throw new TodokuError(ERRORS.badRequest, "this is no transfer");
  },
  // What the buttons of the page do is done by who started this process.
  onRpc: (_, method, data) => void process.send?.({ method, data }),
};
const todoku = await createTodoku<Channels>(config, hooks).catch((error: unknown) => {
  // Kafka is away. Whoever started this starts it again.
  console.error(`gateway: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});

process.on("message", (machines: Machines) => {
  todoku.publish(MACHINES, machines).catch(() => {});
});

const files = await pageFiles(path.join(import.meta.dirname, "browser"));
const server = createServer((request, response) =>
  todoku.handler(request, response, () => sendPageFile(response, files, request.url)),
);
todoku.attach(server);
server.listen(Number(port), "127.0.0.1");
await once(server, "listening");

async function end(): Promise<void> {
  server.close();
  await todoku.close();
  process.exit();
}
process.once("SIGTERM", () => void end());
process.once("disconnect", () => process.exit());
process.on("SIGINT", () => {});
