/** The SDK as it is published: small, alone, and typed for those who have no Node types. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { bundleClient } from "./bundle-client.ts";

const MOST_BYTES = 12_000;
const TSC = path.join(import.meta.dirname, "../node_modules/.bin/tsc");

let folder: string;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "todoku-bundle-"));
  await bundleClient({ outDir: path.join(folder, "minified"), minify: true });
  await bundleClient({ outDir: path.join(folder, "dist") });
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("the SDK has less than 12 kB, minified and gzipped", (context) => {
  const bytes = gzipSync(readFileSync(path.join(folder, "minified/index.js")), { level: 9 }).length;
  context.diagnostic(`${bytes} bytes`);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
});

test("it imports nothing, the file store only Node, the queues and the PostgreSQL store only the SDK", () => {
  assert.deepEqual(importsOf("index.js"), []);
  assert.deepEqual(importsOf("queue.js"), ["./index.js"]);
  assert.deepEqual(importsOf("postgres.js"), ["./index.js"]);
  assert.deepEqual(importsOf("file.js"), ["node:fs/promises", "node:path"]);
});

test("the server's side of the protocol is not in it", () => {
  const text = readFileSync(path.join(folder, "dist/index.js"), "utf8");
  for (const name of ["decodeCommands", "checkRequest", "checkChannel", "encodePublication"]) {
    assert.ok(!text.includes(name), name);
  }
});

test("it is imported by a plain Node", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      'import { Todoku } from "./dist/index.js"; console.log(new Todoku("ws://localhost").state)',
    ],
    { cwd: folder, encoding: "utf8" },
  );
  assert.equal(stderr, "");
  assert.equal(stdout, "idle\n");
  assert.equal(status, 0);
});

test("its types are whole, and give a channel's data its type", () => {
  writeFileSync(
    path.join(folder, "application.mts"),
    `import { Todoku, type Message } from "./dist/index.js";
import { postgresCursors } from "./dist/postgres.js";
import { consume } from "./dist/queue.js";
interface Quote { price: number }
const client = new Todoku<{ "chat:42": { text: string }; [ticker: \`ticker:\${string}\`]: Quote }>("ws://localhost", { WebSocket });
client.subscribe("chat:42", ({ data }) => data.text.length, { durable: "phone" });
client.subscribe("ticker:AAPL", async (message: Message<Quote>) => void message.data.price);
for await (const { data } of client.subscribe("ticker:AAPL")) data.price.toFixed(2);
await client.publish("chat:42", { text: "hi" });
// @ts-expect-error no such channel
client.subscribe("orders:1", () => {});
// @ts-expect-error not what the channel carries
await client.publish("chat:42", { price: 1 });
const open = new Todoku("ws://localhost");
open.subscribe("anything", ({ data }) => JSON.stringify(data));
await open.publish("anything", { nested: [1, null, "two"] });
consume<Quote>(client, "jobs:a", { group: "g", concurrency: 2 }, ({ data, signal }) => void [data.price, signal.aborted]);
for await (const { data } of consume(open, "jobs:b")) JSON.stringify(data);
interface Connection { query(text: string, values?: unknown[]): Promise<{ rows: { [column: string]: string }[] }>; release(): void; savepoint(): Promise<void> }
const cursors = postgresCursors({ connect: async (): Promise<Connection> => { throw new Error("no database") } }, { consumer: "ledger" });
new Todoku<{ "chat:42": Quote }>("ws://localhost", { cursors }).subscribe(
  "chat:42",
  cursors.handler<Quote>(({ data }, transaction) => void [data.price, transaction.savepoint()]),
);
`,
  );
  const { status, stdout } = spawnSync(
    TSC,
    [
      "--noEmit",
      "--strict",
      "--target",
      "es2024",
      "--module",
      "nodenext",
      "--lib",
      "es2024,dom",
      "--types",
      "",
      "application.mts",
    ],
    { cwd: folder, encoding: "utf8", shell: process.platform === "win32" },
  );
  assert.equal(stdout, "");
  assert.equal(status, 0);
});

function importsOf(file: string): readonly (string | undefined)[] {
  const text = readFileSync(path.join(folder, "dist", file), "utf8");
  return [...text.matchAll(/^(?:import|export) .*from "(.*)";$/gm)].map(([, name]) => name);
}
