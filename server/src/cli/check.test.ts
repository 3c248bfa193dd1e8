import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { Folder } from "./program.ts";

const GOOD = `
auth: { jwt: { hmac: 0123456789abcdef0123 }, api_keys: [{ id: backend, key: 0123456789abcdef }] }
backbones: { disk: { type: embedded, path: ./data }, mem: { type: memory } }
namespaces:
  "": { backbone: disk, delivery: at-least-once, retention: { age: 2d } }
  pay: { backbone: disk, bus: mem, delivery: exactly-once, dedupe: 1h, publish: subscribers, subscribe: token }
  ticker: { backbone: mem }
`;

describe("todoku check", () => {
  test("says what each namespace gets, and opens nothing", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", GOOD);
    const { code, out, error } = await folder.run(["check"]);
    assert.equal(code, 0, error);
    for (const part of [
      '""  at-least-once',
      "2d",
      "pay:  exactly-once",
      "bus: mem (memory) · log: disk (embedded) · cursors: disk (embedded)",
      "within 1h is stored once",
      "subscribe: token · publish: subscribers",
      "ticker:  at-most-once",
      "nothing: who is not subscribed",
    ])
      assert.ok(out.includes(part), `${part} in\n${out}`);
    assert.ok(!existsSync(path.join(folder.path, "data")));
  });

  test("--json is one object with the same", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", GOOD);
    const { code, out } = await folder.call(["check", "--json"]);
    assert.equal(code, 0);
    const { ok, namespaces } = JSON.parse(out) as { ok: boolean; namespaces: Record<string, unknown>[] };
    assert.equal(ok, true);
    assert.deepEqual(namespaces[1], {
      name: "pay",
      delivery: "exactly-once",
      backbones: {
        bus: { name: "mem", type: "memory" },
        log: { name: "disk", type: "embedded" },
        cursors: { name: "disk", type: "embedded" },
      },
      retention: { age_ms: 604_800_000, messages: 10_000 },
      dedupe_ms: 3_600_000,
      message_bytes: 65_536,
      may: { subscribe: "token", publish: "subscribers", history: "subscribers", presence: "none" },
    });
  });

  test("--connect opens the backbones in use, and tells of one that another process has", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", `${GOOD}\nhttp: { port: 0 }\n`);
    const free = await folder.run(["check", "--connect"]);
    assert.equal(free.code, 0, free.error);
    assert.match(free.out, /reached disk/);
    const server = folder.start(["serve"]);
    await server.printed("is serving");
    const taken = await folder.run(["check", "--connect"]);
    assert.equal(taken.code, 1);
    assert.match(taken.error, /\[disk\] the data folder \.\/data is in use by another process.*backbones\.disk\.path/);
    server.child.kill("SIGTERM");
    assert.equal((await server.ended).code, 0);
  });

  test("every problem of the file's shape is listed, with its line", async () => {
    using folder = new Folder();
    folder.write(
      "todoku.yaml",
      "http: { prot: 1 }\nclient: { ping: soon }\nnamespaces: { chat: { delivery: twice } }\n",
    );
    const { code, error, out } = await folder.call(["check"]);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(error, /http\.prot is unknown; did you mean port\? \(.*todoku\.yaml, line 1\)/);
    assert.match(error, /client\.ping is "soon": must be written like 250ms.*line 2/);
    assert.match(error, /namespaces\.chat\.delivery is "twice": .*line 3/);
  });

  test("every promise that cannot be kept, and every file that cannot be read, are listed together", async () => {
    using folder = new Folder();
    folder.write(
      "todoku.yaml",
      `
http: { tls: { cert: ./no-cert.pem, key: ./no-key.pem }, trusted_proxies: [10.0.0.0/99] }
auth: { jwt: { public_key: ./no-key.pem } }
backbones: { mem: { type: memory } }
namespaces:
  chat: { backbone: mem, delivery: at-least-once }
  pay: { backbone: nowhere }
`,
    );
    for (const [args, read] of [
      [["check"], "error"],
      [["check", "--json"], "out"],
    ] as const) {
      const ended = await folder.call(args);
      assert.equal(ended.code, 1);
      for (const part of [
        /http\.tls\.cert cannot be read \(ENOENT/,
        /http\.trusted_proxies has \\?"10\.0\.0\.0\/99\\?"/,
        /auth\.jwt\.public_key is no usable key/,
        /namespace \\?"chat\\?" promises at-least-once/,
        /namespace \\?"pay\\?" names the backbone \\?"nowhere\\?"/,
      ])
        assert.match(ended[read], part);
    }
  });

  test("a file that is not there, is no YAML, or holds no keys", async () => {
    using folder = new Folder();
    const missing = await folder.call(["check", "--config", "gone.yaml"]);
    assert.equal(missing.code, 1);
    assert.match(missing.error, /cannot read .*gone\.yaml/);
    folder.write("bad.yaml", "a: [1\nb: 2");
    const bad = await folder.call(["check", "-c", "bad.yaml"]);
    assert.equal(bad.code, 1);
    assert.match(bad.error, /bad\.yaml, line 2: /);
    folder.write("list.yaml", "- 1");
    const list = await folder.call(["check", "-c", "list.yaml"]);
    assert.equal(list.code, 1);
    assert.match(list.error, /must hold keys and values/);
  });

  test("what may surprise is a notice, not a problem", async () => {
    using folder = new Folder();
    const { code, out } = await folder.call(["check"], { env: { TODOKU_HTTP_HOST: "0.0.0.0" } });
    assert.equal(code, 0);
    for (const part of [
      "no todoku.yaml",
      "no client can connect",
      "HTTP API is closed",
      "no channel",
      "without http.tls",
    ])
      assert.ok(out.includes(part), part);
  });
});
