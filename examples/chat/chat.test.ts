import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { needBroker } from "../../scripts/brokers/need.ts";
import { enter, type Chatter, type Line } from "./chat.ts";
import { BACKBONES, type Backbone } from "./configs.ts";
import { startChatService } from "./service.ts";

const redis = await needBroker("redis");
const kafka = await needBroker("kafka");
const START = path.join(import.meta.dirname, "start.ts");

for (const backbone of Object.keys(BACKBONES) as Backbone[]) {
  const { broker } = BACKBONES[backbone];
  const needed = broker && { redis, kafka }[broker];
  const skip = needed?.skip ?? false;

  test(
    `the same chat on ${backbone}: everybody hears everything, in one order, whatever gateway they came to`,
    { skip },
    async () => {
      const folder = mkdtempSync(path.join(tmpdir(), "todoku-chat-test-"));
      const where = needed?.skip === false ? (needed.urls[0] ?? "") : folder;
      const service = await startChatService(backbone, where);
      const chatters: Chatter[] = [];
      try {
        const names = ["Ann", "Ben", "Cem", "Dua"];
        const said = names.flatMap((from) => [1, 2].map((n): Line => ({ from, text: `${n}` })));
        const room = path.basename(folder);
        const heard = names.map(async (name) => {
          const lines: Line[] = [];
          const all = Promise.withResolvers<readonly Line[]>();
          const chatter = await enter(service.url, room, name, (line) => {
            if (lines.push(line) === said.length) all.resolve(lines);
          });
          chatters.push(chatter);
          return { chatter, name, all: all.promise };
        });
        const everybody = await Promise.all(heard);
        await Promise.all(
          everybody.map(async ({ chatter }) => {
            await chatter.say("1");
            await chatter.say("2");
          }),
        );
        const [first = [], ...others] = await Promise.all(everybody.map(({ all }) => all));
        assert.deepEqual(first.toSorted(byName), said);
        for (const lines of others) assert.deepEqual(lines, first);
        const connected = await Promise.all(service.gateways.map(({ url }) => connections(url)));
        assert.ok(
          connected.every((count) => count === names.length / connected.length),
          connected.join(" and "),
        );
      } finally {
        await Promise.all(chatters.map((chatter) => chatter.leave()));
        await service.close();
        rmSync(folder, { recursive: true });
      }
    },
  );
}

test("one command serves it, and what is typed is heard", { skip: redis.skip }, async () => {
  const child = spawn(
    process.execPath,
    ["--conditions=source", "--disable-warning=ExperimentalWarning", START, "--name", "Ann", "--port", "0"],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  let output = "";
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    output += chunk.toString();
    if (output.includes("in the lobby") && child.stdin.writable) child.stdin.end("hello\n");
    if (output.includes("Ann: hello")) break;
  }
  assert.match(output, /2 gateway\(s\) on redis-pubsub/);
  const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
  assert.equal(code, 0);
});

function byName(a: Line, b: Line): number {
  return `${a.from}${a.text}` < `${b.from}${b.text}` ? -1 : 1;
}

async function connections(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^todoku_connections(?:\{[^}]*\})? (\d+)$/m.exec(metrics)?.[1]);
}
