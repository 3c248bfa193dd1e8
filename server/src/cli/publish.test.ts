import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { after, before, describe, test } from "node:test";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { EXIT } from "./command.ts";
import { Folder, type Ended, type Started } from "./program.ts";

const rows = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("todoku publish and history, against a real server", () => {
  const folder = new Folder();
  let server: Started;
  let url = "";
  let apiKey = "";

  before(async () => {
    await folder.call(["init"]);
    server = folder.start(["serve", "--port", "0"]);
    [, url = ""] = /serving (\S+)/.exec(await server.printed(/serving \S+\n/)) ?? [];
    const { auth } = parse(readFileSync(path.join(folder.path, "todoku.yaml"), "utf8")) as {
      auth: { api_keys: { key: string }[] };
    };
    apiKey = auth.api_keys[0]?.key ?? "";
  });
  after(async () => {
    server.child.kill("SIGTERM");
    await server.ended;
    folder[Symbol.dispose]();
  });

  const run = (args: readonly string[], input = ""): Promise<Ended> =>
    folder.call(args, { input, env: { TODOKU_URL: url, TODOKU_API_KEY: apiKey } });

  test("a message is stored, and its position printed", async () => {
    const { code, out, error } = await run([
      "publish",
      "chat:one",
      '{"text":"hello"}',
      "--tag",
      "from=me",
      "--tag",
      "a=b=c",
    ]);
    assert.equal(code, EXIT.ok, error);
    const [{ channel, offset, epoch } = {}] = rows(out);
    assert.deepEqual({ channel, offset, epoch: typeof epoch }, { channel: "chat:one", offset: 1, epoch: "string" });
    const [message] = rows((await run(["history", "chat:one"])).out);
    assert.deepEqual(message?.["data"], { text: "hello" });
    assert.deepEqual(message?.["tags"], { from: "me", a: "b=c" });
  });

  test("a repeated key stores nothing, and says so", async () => {
    await run(["publish", "chat:twice", "1", "--key", "k"]);
    const [again] = rows((await run(["publish", "chat:twice", "1", "--key", "k"])).out);
    assert.deepEqual([again?.["offset"], again?.["duplicate"]], [1, true]);
  });

  test("text needs no quotes of JSON", async () => {
    await run(["publish", "chat:text", "--text", 'it says "hi"']);
    const [message] = rows((await run(["history", "chat:text"])).out);
    assert.equal(message?.["data"], 'it says "hi"');
  });

  test("a channel without a log has no position", async () => {
    assert.deepEqual(rows((await run(["publish", "ticker:a", "1"])).out), [{ channel: "ticker:a" }]);
  });

  test("lines of standard input are stored in their order", async () => {
    const count = 5000;
    const input = Array.from({ length: count }, (_, i) => JSON.stringify({ i })).join("\n");
    const { code, out, error } = await run(["publish", "chat:lines", "-"], input);
    assert.equal(code, EXIT.ok);
    assert.match(error, /published 5,000 messages in \d+\.\d s\n/);
    assert.deepEqual(
      rows(out).map(({ line, offset }) => [line, offset]),
      Array.from({ length: count }, (_, i) => [i + 1, i + 1]),
    );
    const kept = rows((await run(["history", "chat:lines", "--limit", "all"])).out);
    assert.deepEqual(
      kept.map(({ data }) => data),
      Array.from({ length: count }, (_, i) => ({ i })),
    );
  });

  test("lines are stored as they come, before standard input ends", async () => {
    const started = folder.start(["publish", "chat:live", "-", "--text"], { TODOKU_URL: url, TODOKU_API_KEY: apiKey });
    started.child.stdin.write("one\n");
    await started.printed('"line":1');
    started.child.stdin.write("two\nthr");
    await started.printed('"line":2');
    started.child.stdin.end("ee");
    const { out, code } = await started.ended;
    assert.equal(code, EXIT.ok);
    assert.equal(rows(out).length, 3);
  });

  test("lines that are messages name their channel, key and tags; bad ones fail alone and by their number", async () => {
    const input = [
      '{"channel":"chat:m","data":1,"key":"k1","tags":{"a":"b"}}',
      "",
      "not json",
      '{"channel":"chat:m"}',
      '{"channel":"no channel","data":1}',
      '{"channel":"nowhere:1","data":1}',
      '{"channel":"chat:m","data":2,"colour":"red"}',
      '{"data":3}',
      '{"channel":"chat:m","data":4}\r',
    ].join("\n");
    const { code, out, error } = await run(["publish", "-"], input);
    assert.equal(code, EXIT.failed);
    assert.match(error, /published 2 messages in .*; 6 lines failed/);
    const lines = rows(out);
    assert.deepEqual(
      lines.map(({ line }) => line),
      [1, 3, 4, 5, 6, 7, 8, 9],
    );
    const messages = lines.map(({ error: failure }) => (failure as { message: string } | undefined)?.message ?? "");
    for (const [i, pattern] of [
      /^$/,
      /is not JSON/,
      /data is missing/,
      /has a channel that has a character/,
      /unknown channel/,
      /colour/,
      /names no channel/,
      /^$/,
    ].entries())
      assert.match(messages[i] ?? "", pattern);
  });

  test("--key makes the same input safe to publish again", async () => {
    const input = "1\n2\n3\n";
    await run(["publish", "chat:again", "-", "--key", "import"], "1\n2\n");
    const { out, error } = await run(["publish", "chat:again", "-", "--key", "import"], input);
    assert.deepEqual(
      rows(out).map(({ offset, duplicate }) => [offset, duplicate]),
      [
        [1, true],
        [2, true],
        [3, undefined],
      ],
    );
    assert.match(error, /2 of them stored before with the same key/);
  });

  test("a line that is not UTF-8 or too large fails alone", async () => {
    const input = Buffer.concat([
      Buffer.from('"a"\n'),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(`"${"x".repeat(70_000)}"\n"b"\n`),
    ]);
    const { code, out } = await folder.run(["publish", "chat:odd", "-"], {
      input,
      env: { TODOKU_URL: url, TODOKU_API_KEY: apiKey },
    });
    assert.equal(code, EXIT.failed);
    assert.deepEqual(
      rows(out).map(({ line, error }) => [line, (error as { message: string } | undefined)?.message]),
      [
        [1, undefined],
        [2, "is not UTF-8"],
        [3, "message too large: data may have 65536 bytes"],
        [4, undefined],
      ],
    );
  });

  test("history goes page by page, both ways, and from a position", async () => {
    const input = Array.from({ length: 2500 }, (_, i) => String(i + 1)).join("\n");
    const stored = rows((await run(["publish", "chat:long", "-"], input)).out);
    const offsets = async (...args: string[]): Promise<unknown[]> =>
      rows((await run(["history", "chat:long", ...args])).out).map(({ offset }) => offset);
    const numbers = (from: number, to: number): number[] =>
      Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => (from < to ? from + i : from - i));
    assert.deepEqual(await offsets(), numbers(1, 100));
    assert.deepEqual(await offsets("--limit", "1500"), numbers(1, 1500));
    assert.deepEqual(await offsets("--limit", "all"), numbers(1, 2500));
    assert.deepEqual(await offsets("--reverse", "--limit", "all"), numbers(2500, 1));
    assert.deepEqual(await offsets("--since", "2498"), [2499, 2500]);
    assert.deepEqual(await offsets("--since", `${String(stored[0]?.["epoch"])}:3`, "-n", "2"), [4, 5]);
    assert.deepEqual(await offsets("--since", "3", "--reverse"), [2, 1]);
  });

  test("history from a time", async () => {
    const [first, second] = rows((await run(["publish", "chat:times", "-"], "1\n2")).out);
    const all = rows((await run(["history", "chat:times"])).out);
    const from = async (...args: string[]): Promise<unknown[]> =>
      rows((await run(["history", "chat:times", "--from", ...args])).out).map(({ offset }) => offset);
    assert.deepEqual(await from("2026-01-01"), [first?.["offset"], second?.["offset"]]);
    assert.deepEqual(await from(new Date(Number(all[0]?.["time"])).toISOString(), "-n", "1"), [first?.["offset"]]);
    assert.deepEqual(await from("2999-01-01"), []);
    const odd = await run(["history", "chat:times", "--from", "yesterday"]);
    assert.equal(odd.code, EXIT.usage);
    assert.match(odd.error, /--from takes a time such as 2026-01-01 .*, not "yesterday"/);
    const both = await run(["history", "chat:times", "--from", "2026-01-01", "--reverse"]);
    assert.match(both.error, /--from goes forward from a time: leave out --since and --reverse/);
  });

  test("history that is not there", async () => {
    const nothing = await run(["history", "chat:empty"]);
    assert.deepEqual([nothing.code, nothing.out], [EXIT.ok, ""]);
    const unkept = await run(["history", "ticker:a"]);
    assert.deepEqual([unkept.code, unkept.out], [EXIT.failed, ""]);
    assert.match(unkept.error, /ticker:a keeps no history/);
    const elsewhere = await run(["history", "chat:one", "--since", "other:1"]);
    assert.equal(elsewhere.code, EXIT.failed);
    assert.match(elsewhere.error, /chat:one has begun anew since epoch other/);
  });

  test("what the server refuses ends with 1 and its reason", async () => {
    const unknown = await run(["publish", "nowhere:1", "1"]);
    assert.equal(unknown.code, EXIT.failed);
    assert.match(unknown.error, /unknown channel/);
    const noKey = await folder.call(["publish", "chat:1", "1", "--url", url]);
    assert.equal(noKey.code, EXIT.failed);
    assert.match(noKey.error, /wants an API key\. Set \$TODOKU_API_KEY or --api-key/);
    const wrong = "wrong-key-wrong-key";
    const wrongKey = await folder.call(["publish", "chat:1", "1", "--url", url, "--api-key", wrong]);
    assert.equal(wrongKey.code, EXIT.failed);
    assert.match(wrongKey.error, /does not know this API key/);
    assert.ok(!wrongKey.error.includes(wrong));
  });

  const mistakes: readonly [args: readonly string[], error: RegExp][] = [
    [["publish"], /the channel is missing/],
    [["publish", "a b", "1"], /channel "a b" has a character/],
    [["publish", "chat:1"], /the data is missing/],
    [["publish", "chat:1", "hello"], /DATA is not JSON.*--text/],
    [["publish", "chat:1", "1", "2"], /"2" is one word too many/],
    [["publish", "chat:1", "1", "--tag", "x"], /--tag takes NAME=VALUE, not "x"/],
    [["publish", "chat:1", "1", "--key", ""], /--key takes 1 to 100 characters/],
    [["publish", "chat:1", "1", "--retry", "long"], /--retry takes a span of time/],
    [["publish", "chat:1", "1", "--ndjson"], /--ndjson reads standard input/],
    [["publish", "-", "--text"], /--text is for lines that are data/],
    [["publish", "chat:1", "1", "--url", "ftp://x"], /--url takes an address/],
    [["history"], /the channel is missing/],
    [["history", "chat:1", "--limit", "0"], /--limit takes a number from 1 on, not "0"/],
    [["history", "chat:1", "--since", "x"], /--since takes EPOCH:OFFSET/],
  ];
  for (const [args, pattern] of mistakes) {
    test(`${args.join(" ")} is called wrongly`, async () => {
      const { code, out, error } = await run(args);
      assert.equal(code, EXIT.usage, error);
      assert.equal(out, "");
      assert.match(error, pattern);
    });
  }
});

test("publish and history without a server name it and the way out", async () => {
  using folder = new Folder();
  // A port that was free a moment ago.
  const free = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => free.once("listening", resolve));
  const { port } = free.address() as { port: number };
  await new Promise((resolve) => free.close(resolve));
  for (const args of [
    ["publish", "chat:1", "1"],
    ["publish", "chat:1", "-"],
    ["history", "chat:1"],
  ]) {
    const { code, out, error } = await folder.call([...args, "--url", `http://localhost:${port}`], { input: "1\n" });
    assert.equal(code, EXIT.unavailable);
    assert.equal(out, "");
    assert.match(
      error,
      new RegExp(
        `cannot reach http://localhost:${port} \\(ECONNREFUSED\\)\\. Is it running\\? Start it with .todoku serve., or set --url`,
      ),
    );
  }
});

test("the secrets of todoku.yaml go to its own server only", async () => {
  using folder = new Folder();
  await folder.call(["init"]);
  let seen: unknown = "nothing";
  await using server = await listening((request, body, answer) => {
    seen = request.headers["x-api-key"];
    answer({ error: { code: 101, message: "unauthorized" } });
  });
  await folder.call(["publish", "chat:1", "1", "--url", server.url]);
  assert.equal(seen, undefined);
});

// ── a server that fails: what is repeated, and what is not ──────────────────

interface Command {
  readonly publish: { readonly data: number; readonly idempotency_key: string; readonly idempotency_age_ms?: number };
}

interface Listening extends AsyncDisposable {
  readonly url: string;
}

/** A server of the test's own making. `answer` with undefined cuts the connection instead. */
async function listening(
  handle: (request: IncomingMessage, body: { commands?: Command[] }, answer: (body: unknown) => void) => void,
): Promise<Listening> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () =>
      handle(request, JSON.parse(Buffer.concat(chunks).toString() || "{}") as { commands?: Command[] }, (body) => {
        if (body === undefined) request.socket.destroy();
        else response.end(JSON.stringify(body));
      }),
    );
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const unavailable = { error: { code: 402, message: "backbone unavailable, nothing was stored" } };

test("a message that fails for now is repeated with its key and its age, and later than its turn is said", async () => {
  using folder = new Folder();
  const seen: Command[][] = [];
  await using server = await listening((_, { commands = [] }, answer) => {
    seen.push(commands);
    const replies = commands.map(({ publish }, i) =>
      publish.data === 2 && seen.length < 3 ? unavailable : { publish: { offset: i + 1, epoch: "e" } },
    );
    answer({ replies });
  });
  const { code, out, error } = await folder.call(["publish", "chat:1", "-", "--key", "k", "--url", server.url], {
    input: "1\n2\n3\n",
  });
  assert.equal(code, EXIT.ok, error);
  assert.deepEqual(
    seen.map((commands) => commands.map(({ publish }) => publish.idempotency_key)),
    [["k-1", "k-2", "k-3"], ["k-2"], ["k-2"]],
  );
  assert.deepEqual(
    seen.map(([first]) => (first?.publish.idempotency_age_ms ?? 0) > 0),
    [false, true, true],
  );
  assert.equal(rows(out).length, 3);
  assert.match(error, /nothing was stored; trying again/);
  assert.match(error, /1 of them later than their turn/);
});

test("a lost answer is repeated where the channel remembers keys, and not where it keeps nothing", async () => {
  for (const keeps of [true, false]) {
    using folder = new Folder();
    let publishes = 0;
    await using server = await listening((request, { commands = [] }, answer) => {
      if (request.url === "/api/history")
        return answer(keeps ? { result: {} } : { error: { code: 108, message: "not available" } });
      publishes++;
      const reply = keeps ? { publish: { offset: 1, epoch: "e", duplicate: true } } : { publish: {} };
      // The first line is answered, the answer to the second is lost.
      answer(publishes === 2 ? undefined : { replies: commands.map(() => reply) });
    });
    const started = folder.start(["publish", "chat:1", "-", "--url", server.url]);
    started.child.stdin.write("1\n");
    await started.printed('"line":1');
    started.child.stdin.end("2\n");
    const { code, out } = await started.ended;
    const [, second] = rows(out);
    if (keeps) {
      assert.equal(code, EXIT.ok);
      assert.equal(publishes, 3);
      assert.deepEqual(second, { line: 2, channel: "chat:1", offset: 1, epoch: "e" });
    } else {
      assert.equal(code, EXIT.failed);
      assert.equal(publishes, 2);
      assert.match(JSON.stringify(second), /outcome unknown; not repeated, because the channel keeps no log/);
    }
  }
});

test("when it fails for too long, what was stored is told, and the exit code says why", async () => {
  using folder = new Folder();
  await using server = await listening((_, __, answer) => answer({ replies: [unavailable] }));
  const refused = await folder.call(["publish", "chat:1", "1", "--retry", "1ms", "--url", server.url]);
  assert.equal(refused.code, EXIT.failed);
  assert.match(refused.error, /chat:1: backbone unavailable/);
  const lines = await folder.call(["publish", "chat:1", "-", "--retry", "1ms", "--url", server.url], { input: "1\n" });
  assert.equal(lines.code, EXIT.failed);
  assert.match(lines.error, /published 0 messages in .*; 1 line failed/);
});

test("what is no todoku server is said to be none", async () => {
  using folder = new Folder();
  await using server = await listening((_, __, answer) => answer("hello"));
  const { code, error } = await folder.call(["publish", "chat:1", "1", "--url", server.url]);
  assert.equal(code, EXIT.failed);
  assert.match(error, /is not a todoku API \(HTTP 200\)/);
});

test("Ctrl-C finishes the request under way and counts it", async () => {
  using folder = new Folder();
  let arrived = (): void => {};
  const request = new Promise<void>((resolve) => (arrived = resolve));
  let release = (): void => {};
  await using server = await listening((_, { commands = [] }, answer) => {
    release = () => answer({ replies: commands.map(() => ({ publish: { offset: 1, epoch: "e" } })) });
    arrived();
  });
  const started = folder.start(["publish", "chat:1", "-", "--url", server.url]);
  started.child.stdin.write("1\n");
  await request;
  started.child.kill("SIGINT");
  release();
  const { code, out, error } = await started.ended;
  assert.equal(code, EXIT.interrupted);
  assert.equal(rows(out).length, 1);
  assert.match(error, /published 1 message in/);
});

test("a reader that has seen enough is no error", async () => {
  using folder = new Folder();
  await using server = await listening((_, __, answer) => {
    const publications = Array.from({ length: 1000 }, (_, i) => ({ data: "x".repeat(1000), offset: i + 1 }));
    answer({ result: { publications, epoch: "e", offset: 1_000_000 } });
  });
  const started = folder.start(["history", "chat:1", "--limit", "all", "--url", server.url]);
  await started.printed('"offset":1,');
  started.child.stdout.destroy();
  const { code, error } = await started.ended;
  assert.equal(error, "");
  assert.equal(code, EXIT.ok);
});
