/** Starts the real program and publishes to it over a connection. Called with a folder, a configuration and a connect request as JSON. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { ConfigInput } from "../../server/src/config.ts";
import { Program } from "../../tests/program.ts";
import { RawClient } from "../../tests/raw-client.ts";
import { obey } from "./obey.ts";

const MAIN = path.join(import.meta.dirname, "..", "..", "server", "src", "cli", "main.ts");

const [folder = "", config = "{}", connect = "{}"] = process.argv.slice(2);
const file = path.join(folder, "config.json");
writeFileSync(file, config);
const server = new Program(MAIN, ["serve", "--config", file], { folder });
await server.speaks();
// Whoever kills this process must end that one as well.
console.log(`serving ${server.pid}`);
const { http } = JSON.parse(config) as ConfigInput;
const client = await RawClient.connect(http?.port ?? 0, JSON.parse(connect) as object);
client.onText = (text) => {
  // A publish that fails makes the figure worthless: the generator is told by the end of this process.
  if (!text.includes('"error"')) return;
  console.error(text.toString());
  process.exit(1);
};
console.log("listening");

let id = 1;
obey((channel, data) => client.send({ id: ++id, publish: { channel, data } }));
