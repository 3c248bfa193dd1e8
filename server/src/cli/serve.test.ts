import assert from "node:assert/strict";
import { createServer } from "node:net";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { EXIT } from "./command.ts";
import { Folder, type Started } from "./program.ts";

const CONFIG = `
http: { port: 0 }
auth: { insecure: true }
backbones: { disk: { type: embedded } }
namespaces: { chat: { backbone: disk, delivery: at-least-once, subscribe: any } }
`;

async function urlOf(server: Started): Promise<string> {
  const [, url = ""] = /serving (\S+)/.exec(await server.printed(/serving \S+\n/)) ?? [];
  return url;
}

/** A client that is connected, and does nothing but stay. */
async function connected(url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/connection/websocket`);
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
  const answered = new Promise((resolve) => socket.addEventListener("message", resolve, { once: true }));
  socket.send(JSON.stringify({ id: 1, connect: {} }));
  await answered;
  return socket;
}

describe("todoku serve", () => {
  test("--dev needs no file, says what it serves and that it is open, and answers", async () => {
    using folder = new Folder();
    const server = folder.start(["serve", "--dev"], { TODOKU_HTTP_PORT: "0", TODOKU_LOG_LEVEL: "error" });
    const url = await urlOf(server);
    await server.printed("insecure: anyone who reaches this address may connect");
    const page = await fetch(url);
    assert.equal(page.status, 200);
    const published = await fetch(`${url}/api/publish`, {
      method: "POST",
      body: JSON.stringify({ channel: "chat:1", data: "hello" }),
    });
    assert.equal(((await published.json()) as { result: { offset: number } }).result.offset, 1);
    server.child.kill("SIGTERM");
    const { code, out, error } = await server.ended;
    assert.equal(code, EXIT.ok, error);
    for (const line of [
      `clients    ${url.replace("http", "ws")}/connection/websocket`,
      "namespace  orders: exactly-once",
      "embedded in ./todoku-data",
    ])
      assert.ok(out.includes(line), `${line} in\n${out}`);
  });

  test("SIGTERM drains: clients are told to come back, and what was stored is there afterwards", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", `${CONFIG}drain: 50ms\n`);
    const server = folder.start(["serve"]);
    const url = await urlOf(server);
    await folder.call(["publish", "chat:1", "1", "--url", url]);
    const socket = await connected(url);
    const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
    server.child.kill("SIGTERM");
    assert.equal((await closed).code, 3001);
    const { code, error } = await server.ended;
    assert.equal(code, EXIT.ok);
    assert.match(error, /sending 1 client elsewhere over 50ms/);
    assert.match(error, /"stopped"/);
    const again = folder.start(["serve"]);
    const { out } = await folder.call(["history", "chat:1", "--url", await urlOf(again)]);
    assert.match(out, /"data":1/);
    again.child.kill("SIGTERM");
    await again.ended;
  });

  test("one press of Ctrl-C counts once, however often it is passed on; a second press leaves at once", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", `${CONFIG}drain: 10m\n`);
    const server = folder.start(["serve"]);
    const url = await urlOf(server);
    const sockets = [await connected(url), await connected(url)];
    server.child.kill("SIGINT");
    server.child.kill("SIGINT");
    await server.printed("sending 2 clients elsewhere over 10m", "error");
    // The first is sent away at once, the second later: the program is in the middle of it.
    await server.printed("1 client left", "error");
    server.child.kill("SIGINT");
    assert.equal((await server.ended).code, EXIT.interrupted);
    for (const socket of sockets) socket.close();
  });

  test("an error that nobody foresaw ends it with code 1, told in one line and without a password", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", CONFIG);
    const broken = folder.write(
      "broken.mjs",
      `process.on("SIGUSR2", () => void Promise.reject(new Error("redis://ann:secret@cache went away")));`,
    );
    const server = folder.start(["serve"], {
      NODE_OPTIONS: `--import=${pathToFileURL(broken).href}`,
      BUN_OPTIONS: `--preload=${broken}`,
    });
    await urlOf(server);
    server.child.kill("SIGUSR2");
    const { code, error } = await server.ended;
    assert.equal(code, EXIT.failed);
    const lines = error.trim().split("\n");
    assert.equal(lines.length, 1, error);
    const told = JSON.parse(lines[0] ?? "") as { level: string; msg: string; error: { message: string } };
    assert.equal(told.level, "error");
    assert.equal(told.error.message, "redis://***@cache went away");
    assert.match(told.msg, /nobody foresaw/);
    assert.doesNotMatch(error, /secret/);
  });

  test("a port that is in use", async () => {
    using folder = new Folder();
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as { port: number };
    folder.write("todoku.yaml", CONFIG);
    for (const args of [
      ["--port", String(port)],
      ["--dev", "--port", String(port)],
    ]) {
      const { code, out, error } = await folder.run(["serve", ...args]);
      assert.equal(code, EXIT.failed);
      assert.equal(out, "");
      assert.match(
        error,
        new RegExp(
          `\\[http\\] port ${port} on 127\\.0\\.0\\.1 is in use by another process\\. Stop that process, or set http\\.port`,
        ),
      );
    }
    other.close();
  });

  test("a data folder that is in use, and one that cannot be had", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", CONFIG);
    const first = folder.start(["serve"]);
    await urlOf(first);
    const second = await folder.run(["serve"]);
    assert.equal(second.code, EXIT.failed);
    assert.match(
      second.error,
      /\[disk\] the data folder \.\/todoku-data is in use by another process\. Stop that one, or set backbones\.disk\.path/,
    );
    first.child.kill("SIGTERM");
    assert.equal((await first.ended).code, EXIT.ok);
    folder.write("a-file", "");
    folder.write("todoku.yaml", CONFIG.replace("type: embedded", "type: embedded, path: ./a-file/data"));
    const third = await folder.run(["serve"]);
    assert.equal(third.code, EXIT.failed);
    assert.match(third.error, /\[disk\].*\.\/a-file\/data/);
  });

  const mistakes: readonly [args: readonly string[], code: number, error: RegExp][] = [
    [
      ["serve"],
      EXIT.failed,
      /there is no todoku\.yaml in this folder\. Write one with `todoku init`.*`todoku serve --dev`/,
    ],
    [["serve", "--config", "gone.yaml"], EXIT.failed, /cannot read .*gone\.yaml \(ENOENT/],
    [["serve", "--dev", "--config", "x.yaml"], EXIT.usage, /--dev brings its own configuration/],
    [["serve", "--dev", "--port", "http"], EXIT.usage, /--port takes a number from 0 to 65535, not "http"/],
    [["serve", "--dev", "--port", "99999"], EXIT.failed, /http\.port is 99999/],
    [["serve", "now"], EXIT.usage, /"now" is one word too many/],
    [["serve", "--cofnig", "x"], EXIT.usage, /unknown option --cofnig; did you mean --config\?/],
  ];
  for (const [args, expected, pattern] of mistakes) {
    test(`${args.join(" ")} is refused`, async () => {
      using folder = new Folder();
      const { code, out, error } = await folder.call(args);
      assert.equal(code, expected, error);
      assert.equal(out, "");
      assert.match(error, pattern);
      assert.ok(!existsSync(path.join(folder.path, "todoku-data")));
    });
  }
});
