/** The example, started as a newcomer starts it, and used through the SDK. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { Todoku } from "@todoku/client";
import { startChat } from "./chat.ts";
import { ROOM, type ChatMessage } from "./messages.ts";

type Client = Todoku<{ [ROOM]: ChatMessage }>;

async function login(url: string, name: unknown): Promise<{ token?: string; error?: string }> {
  const response = await fetch(`${url}/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name }),
  });
  return (await response.json()) as { token?: string; error?: string };
}

function join(url: string, name: string): Client {
  const client: Client = new Todoku(url, {
    token: async () => (await login(url, name)).token ?? "",
    backoff: { firstMs: 5, lastMs: 50 },
  });
  client.on("error", () => {});
  return client;
}

/** Collects what is said until there are `count` messages. */
async function hear(client: Client, count: number): Promise<string[]> {
  const heard: string[] = [];
  for await (const { data, info } of client.subscribe(ROOM, { start: "earliest" })) {
    heard.push(`${info?.user}: ${data.text}`);
    if (heard.length === count) return heard;
  }
  throw new Error("the subscription ended");
}

async function withChat(use: (chat: { url: string; restart(): Promise<void> }) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-chat-"));
  let chat = await startChat({ port: 0, folder });
  const { url } = chat;
  try {
    await use({
      url,
      restart: async () => {
        await chat.close();
        chat = await startChat({ port: Number(new URL(url).port), folder });
      },
    });
  } finally {
    await chat.close();
    await rm(folder, { recursive: true });
  }
}

describe("the chat", () => {
  test("lets in by name, and brings who comes later what was said before", () =>
    withChat(async ({ url }) => {
      const ann = join(url, "Ann");
      await ann.subscribe(ROOM, () => {}).ready;
      await ann.publish(ROOM, { text: "  hello " });
      await ann.publish(ROOM, { text: "is anybody here?" });
      const ben = join(url, "Ben");
      assert.deepEqual(await hear(ben, 2), ["Ann: hello", "Ann: is anybody here?"]);
      const here = Object.values(await ann.presence(ROOM)).map(({ user }) => user);
      assert.deepEqual(here, ["Ann"]);
      await Promise.all([ann.close(), ben.close()]);
    }));

  test("names are checked, and without a login nobody comes in", () =>
    withChat(async ({ url }) => {
      for (const name of ["", " Ann", "<b>", "x".repeat(25), 1, undefined]) {
        assert.match((await login(url, name)).error ?? "", /^A name has 1 to 24/);
      }
      const stranger: Client = new Todoku(url, { token: "guessed" });
      stranger.on("error", () => {});
      await assert.rejects(stranger.connect());
      await stranger.close();
    }));

  test("messages are checked, and may be sent by subscribers only", () =>
    withChat(async ({ url }) => {
      const ann = join(url, "Ann");
      await assert.rejects(ann.publish(ROOM, { text: "from outside" }), { code: 103 });
      await ann.subscribe(ROOM, () => {}).ready;
      await assert.rejects(ann.publish(ROOM, { text: " " }), { code: 107 });
      await assert.rejects(ann.publish(ROOM, { text: "x".repeat(501) }), { code: 107 });
      await ann.close();
    }));

  test("a restart loses nothing: who was there goes on, and what is said meanwhile arrives once", () =>
    withChat(async ({ url, restart }) => {
      const [ann, ben] = [join(url, "Ann"), join(url, "Ben")];
      await ann.subscribe(ROOM, () => {}).ready;
      await ann.publish(ROOM, { text: "before" });
      const hearing = hear(ben, 3);
      ann.disconnect();
      const meanwhile = ann.publish(ROOM, { text: "meanwhile" });
      await restart();
      await ann.connect();
      await meanwhile;
      await ann.publish(ROOM, { text: "after" });
      assert.deepEqual(await hearing, ["Ann: before", "Ann: meanwhile", "Ann: after"]);
      await Promise.all([ann.close(), ben.close()]);
    }));
});

test("`npm run example express-chat` starts it and says where, and Ctrl-C ends it", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-chat-"));
  const child = spawn(process.execPath, ["--conditions=source", path.join(import.meta.dirname, "start.ts")], {
    env: { ...process.env, PORT: "0", CHAT_DATA: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(async () => {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const url = /http:\/\/localhost:\d+/.exec(line)?.[0];
  assert.ok(url, line);
  const page = await (await fetch(url)).text();
  assert.match(page, /<script type="module" src="\/main\.js">/);
  const script = await (await fetch(`${url}/main.js`)).text();
  assert.match(script, /room:lobby/);
  child.kill("SIGINT");
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
});
