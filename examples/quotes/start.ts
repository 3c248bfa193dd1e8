/**
 * Everything with one command: a server, the quotes replayed to it, and a page that draws them as they arrive.
 *
 *     npm run example quotes -- --speed 40
 *
 * The server is a process of its own and is started again when it dies. Kill it the hard way while the lines are drawn
 * (its process id is printed): the page comes back, the replay repeats what was not answered, and no quote is lost or doubled.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { readQuotes } from "./quotes.ts";
import { replay } from "./replay.ts";

const { values } = parseArgs({
  options: { port: { type: "string", default: "8010" }, speed: { type: "string", default: "40" } },
});
const speed = values.speed === "max" ? Infinity : Number(values.speed);
if (!(speed > 0)) throw new Error(`--speed takes quotes per second, or max, not ${values.speed}`);

const data = mkdtempSync(path.join(tmpdir(), "todoku-quotes-"));
let stopping = false;
let server = startServer();

function startServer(): ReturnType<typeof spawn> {
  const script = path.join(import.meta.dirname, "server.ts");
  const child = spawn(
    process.execPath,
    ["--conditions=source", "--disable-warning=ExperimentalWarning", script, "--port", values.port, "--data", data],
    { stdio: "inherit" },
  );
  console.log(`server is process ${child.pid}; try: kill -9 ${child.pid}`);
  child.once("exit", (code, signal) => {
    if (stopping) return;
    if (signal === null && code !== 0) return stop(1);
    console.log(`server died (${signal ?? code}); starting it again`);
    server = startServer();
  });
  return child;
}

function stop(code: number): void {
  if (stopping) return;
  stopping = true;
  const leave = (): void => {
    rmSync(data, { recursive: true, force: true });
    process.exit(code);
  };
  if (server.exitCode !== null || server.signalCode !== null) return leave();
  server.once("exit", leave);
  server.kill("SIGTERM");
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop(0));

const quotes = readQuotes();
let retries = 0;
await replay(quotes, {
  url: `http://localhost:${values.port}`,
  speed,
  run: path.basename(data),
  onRetry: () => retries++,
});
console.log(`${quotes.length} quotes accepted after ${retries} retries. The page stays open; Ctrl-C ends everything.`);
