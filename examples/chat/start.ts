/**
 * A chat in terminals, over two gateways and a broker.
 *
 *     npm run example chat -- --name Ann                              serves it, and lets Ann in
 *     npm run example chat -- --name Ben --join ws://127.0.0.1:8020   a second terminal
 *     npm run example chat -- --name Ann --backbone redis-streams     the same chat, which now keeps what is said
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { borrowBroker } from "../borrowed-broker.ts";
import { enter } from "./chat.ts";
import { BACKBONES, type Backbone } from "./configs.ts";
import { startChatService } from "./service.ts";

const { values } = parseArgs({
  options: {
    name: { type: "string", default: "Ann" },
    join: { type: "string" },
    backbone: { type: "string", default: "redis-pubsub" },
    port: { type: "string", default: "8020" },
  },
});

const ends: (() => void | Promise<void>)[] = [];
const url = values.join ?? (await serve(values.backbone as Backbone));
const chatter = await enter(url, "lobby", values.name, ({ from, text }) => console.log(`${from}: ${text}`));
ends.push(() => chatter.leave());
console.log(`${values.name} is in the lobby; type, and Ctrl-D to leave`);

const lines = createInterface({ input: process.stdin });
process.once("SIGINT", () => lines.close());
process.once("SIGTERM", () => lines.close());
for await (const line of lines) if (line.trim() !== "") await chatter.say(line.trim());
for (const end of ends.toReversed()) await end();

async function serve(backbone: Backbone): Promise<string> {
  if (!(backbone in BACKBONES)) throw new Error(`--backbone is one of ${Object.keys(BACKBONES).join(", ")}`);
  const { broker } = BACKBONES[backbone];
  const where = broker ? await addressOf(broker) : ownFolder();
  const service = await startChatService(backbone, where, Number(values.port));
  ends.push(() => service.close());
  console.log(`${service.gateways.length} gateway(s) on ${backbone}; others join with --join ${service.url}`);
  return service.url;
}

function ownFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-chat-"));
  ends.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function addressOf(broker: string): Promise<string> {
  const { urls, giveBack } = await borrowBroker(broker);
  ends.push(giveBack);
  return urls[0] ?? "";
}
