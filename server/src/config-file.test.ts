/** The configuration: its defaults, where it comes from, and everything that can be wrong with it, told at once. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import * as fc from "fast-check";
import { configSchema, type ConfigInput } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { environmentKeys } from "./config-environment.ts";
import { loadConfig, parseConfig } from "./config-file.ts";
import { configJsonSchema } from "./config-json-schema.ts";
import { DEV_CONFIG } from "./dev-config.ts";

const folder = mkdtempSync(path.join(tmpdir(), "todoku-config-"));
const file = path.join(folder, "todoku.yaml");
after(() => rmSync(folder, { recursive: true }));

function load(text: string, env: Record<string, string> = {}): ReturnType<typeof loadConfig> {
  writeFileSync(file, text);
  return loadConfig({ folder, env });
}

/** What is wrong, with the file's name left out. */
function problems(text: string, env?: Record<string, string>): readonly string[] {
  try {
    load(text, env);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map((problem) => problem.replaceAll(file, "F"));
  }
  return [];
}

describe("defaults", () => {
  test("an empty file, no file and an empty object are the same, and make sense", () => {
    const { http, client, auth, production, namespaces, internal } = parseConfig({});
    assert.deepEqual(load(""), parseConfig({}));
    assert.deepEqual(load("# nothing"), parseConfig({}));
    assert.deepEqual(loadConfig({ folder: path.join(folder, "elsewhere"), env: {} }), parseConfig({}));
    assert.deepEqual(http, { host: "127.0.0.1", port: 8000, trusted_proxies: [] });
    assert.deepEqual(auth, { api_keys: [], insecure: false });
    assert.deepEqual([production, namespaces, internal], [false, {}, undefined]);
    assert.deepEqual(
      [client.ping, client.pong, client.connect_timeout, client.queue_bytes, client.message_bytes],
      [25_000, 8000, 10_000, 1_048_576, 65_536],
    );
    assert.deepEqual(client.rate.commands, { count: 200, perMs: 1000 });
    assert.equal(client.compression, false);
  });

  test("a namespace lets nobody in whom it does not name", () => {
    const { chat } = parseConfig({ namespaces: { chat: {} } }).namespaces;
    assert.ok(chat);
    const { subscribe, publish, history, presence, delivery } = chat;
    assert.deepEqual(
      { subscribe, publish, history, presence, delivery },
      {
        subscribe: "authenticated",
        publish: "none",
        history: "subscribers",
        presence: "none",
        delivery: "at-most-once",
      },
    );
  });

  test("JSON is YAML, and what npm start serves is a valid configuration", () => {
    assert.equal(load('{"http": {"port": 1234}}').http.port, 1234);
    assert.equal(parseConfig(DEV_CONFIG).auth.insecure, true);
  });
});

describe("what is wrong with a file", () => {
  test("everything at once: the key, the value, what it must be, file and line", () => {
    const text = `
http:
  port: 70000
  hosst: x
client: { pong: soon, json_depth: 1.5 }
auth:
  insecure: "yes"
backbones:
  a: { type: pulsar }
  b: { type: memory, bytes: -1MiB }
namespaces:
  Chat: {}
  chat:
    publish: everyone
    redelivery: { backoff: 5m..1s }
`;
    assert.deepEqual(problems(text), [
      "http.port is 70000: must be 65535 or less (F, line 3)",
      "http.hosst is unknown; did you mean host? (F, line 4)",
      'client.pong is "soon": must be written like 250ms, 30s, 10m, 24h or 7d (F, line 5)',
      "client.json_depth is 1.5: must be a whole number (F, line 5)",
      "auth.insecure must be true or false (F, line 7)",
      "backbones.a.type must be memory, embedded, redis-pubsub, redis-sharded, redis-streams or kafka (F, line 9)",
      'backbones.b.bytes is "-1MiB": must be written like 512B, 64KiB or 1MiB (F, line 10)',
      "namespaces.Chat is no name: a-z, then a-z 0-9 _ - (F, line 12)",
      'namespaces.chat.publish is "everyone": must be none, any, authenticated, subscribers or token (F, line 14)',
      'namespaces.chat.redelivery.backoff is "5m..1s": must go from a shorter to a longer delay, as in 1s..5m (F, line 15)',
    ]);
  });

  for (const [text, problem] of [
    ["htpp: {}", "htpp is unknown; did you mean http? (F, line 1)"],
    ["http: { prot: 1 }", "http.prot is unknown; did you mean port? (F, line 1)"],
    ["client: { rate: { publsh: 1/s } }", "client.rate.publsh is unknown; did you mean publish? (F, line 1)"],
    ["auth: { zzz: 1 }", "auth.zzz is unknown; known here: jwt, api_keys, insecure (F, line 1)"],
    [
      "backbones: { a: { type: embedded, map_size: 1GiB } }",
      "backbones.a.map_size is unknown; did you mean max_size? (F, line 1)",
    ],
    [
      'namespaces: { "": { delivry: at-most-once } }',
      'namespaces."".delivry is unknown; did you mean delivery? (F, line 1)',
    ],
    ["constructor: {}", /^constructor is unknown; known here: /],
    ["toString: {}", /^toString is unknown; known here: /],
    ["__proto__: { a: 1 }", "__proto__ is unknown; nothing can be called so (F, line 1)"],
    ["namespaces: { __proto__: {} }", "namespaces.__proto__ is unknown; nothing can be called so (F, line 1)"],
    ["http: { __proto__: { port: 1 } }", "http.__proto__ is unknown; nothing can be called so (F, line 1)"],
    ["- 1", "F must hold keys and values"],
    ["5", "F must hold keys and values"],
    ["a: 'b", /^F, line \d: missing closing 'quote$/],
    ["a: 1\na: 2", "F, line 2: map keys must be unique"],
    ["a: [b", /^F, line 1: flow sequence/],
    ["a: *nowhere", /^F has an alias that cannot be followed .* Write out what it stands for$/],
    ["a: &x [*x]", /^F has an alias that cannot be followed/],
    ["http: { host: '' }", 'http.host is "": must have 1 or more characters (F, line 1)'],
    ["auth: { jwt: { jwks: keys } }", "auth.jwt.jwks must be a URL (F, line 1)"],
    [
      "auth: { jwt: { hmac: 0123456789abcdef, algorithms: [] } }",
      "auth.jwt.algorithms must have 1 or more entries (F, line 1)",
    ],
    ["auth: { api_keys: [{ id: a }] }", "auth.api_keys.0.key is missing (F, line 1)"],
    ["auth: { api_keys: a }", "auth.api_keys must be a list (F, line 1)"],
    ["http: 5", "http is 5: must be keys and values (F, line 1)"],
  ] as const) {
    test(JSON.stringify(text), () => {
      const [first = "", ...more] = problems(text);
      if (typeof problem === "string") assert.equal(first, problem);
      else assert.match(first, problem);
      assert.deepEqual(more, []);
    });
  }

  test("a thousand aliases of aliases end in an error, not in all memory", () => {
    const bomb = ["a0: &a0 [x]"];
    for (let i = 1; i < 30; i++) bomb.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}*a${i - 1}]`);
    assert.match(problems(bomb.join("\n"))[0] ?? "", /has an alias that cannot be followed/);
  });

  test("a file that is not there is named", () => {
    assert.throws(
      () => loadConfig({ file: "other.yaml", folder, env: {} }),
      (error) =>
        error instanceof ConfigError && error.message.startsWith(`cannot read ${path.join(folder, "other.yaml")} (`),
    );
  });
});

describe("rules that concern several keys", () => {
  const long = "a-secret-of-sixteen";
  for (const [text, problem] of [
    [
      "production: true\nauth: { insecure: true }",
      "auth.insecure is true and so is production. Set auth.jwt and auth.api_keys instead, or production to false",
    ],
    ["auth: { jwt: {} }", "auth.jwt has no key. Set exactly one of hmac, jwks, public_key"],
    [
      `auth: { jwt: { hmac: ${long}, jwks: "https://a.example" } }`,
      "auth.jwt has hmac and jwks. Set exactly one of hmac, jwks, public_key",
    ],
    [
      `auth: { jwt: { hmac: ${long}, algorithms: [RS256, none] } }`,
      "auth.jwt.algorithms has RS256, none, which does not go with hmac. Use HS256, HS384 or HS512",
    ],
    [
      'auth: { jwt: { jwks: "https://a.example", algorithms: [HS256] } }',
      "auth.jwt.algorithms has HS256, which does not go with public keys. Use RS256, PS256, ES256 or EdDSA",
    ],
    ["internal: { port: 8000 }", "internal.port is 8000, and so is http.port. Give the internal listener another port"],
    [
      `auth: { api_keys: [{ id: a, key: ${long} }, { id: a, key: ${long}2 }] }`,
      "auth.api_keys has a more than once. Give each key an id of its own",
    ],
  ] as const) {
    test(problem, () => assert.deepEqual(problems(text), [problem]));
  }

  test("what only looks like a conflict is none", () => {
    assert.deepEqual(problems("internal: { port: 0 }\nhttp: { port: 0 }"), []);
    assert.deepEqual(problems("internal: { host: 127.0.0.2, port: 8000 }"), []);
    assert.deepEqual(problems("production: true"), []);
  });
});

describe("secrets", () => {
  const secret = "hunter2-hunter2-hunter2";
  test("stand in no problem, whatever is wrong around them", () => {
    for (const text of [
      `auth:\n  jwt:\n    hmac: '${secret}\n  api_keys: []`,
      `auth:\n  jwt: { hmac: ${secret}, hmac: ${secret} }`,
      `auth: { jwt: { hmac: ${secret}, jwks: x } }`,
      `auth: { jwt: { hmac: [${secret}] } }`,
      `auth: { api_keys: [{ id: a, key: ${secret} }, { id: a, key: "${secret}"]`,
      `auth: { api_keys: [${secret}] }`,
      `backbones: { a: { type: redis-pubsub, url: 5, cluster: "redis://u:${secret}@h" } }`,
    ]) {
      const found = problems(text);
      assert.ok(found.length > 0, text);
      assert.doesNotMatch(found.join(), /hunter2/);
    }
    assert.doesNotMatch(problems("auth: { jwt: { hmac: ${S} } }", { S: "hunter2" }).join(), /hunter2/);
    assert.doesNotMatch(problems("", { TODOKU_AUTH_JWT_HMAC: "hunter2" }).join(), /hunter2/);
  });

  test("are marked in the JSON Schema, and nothing else is", () => {
    const marked: string[] = [];
    const walk = (value: unknown, at: string): void => {
      if (typeof value !== "object" || value === null) return;
      if ("writeOnly" in value) marked.push(at);
      for (const [key, inner] of Object.entries(value))
        walk(inner, key === "properties" || key === "items" ? at : `${at}.${key}`);
    };
    walk(configJsonSchema().properties, "");
    assert.ok(marked.includes(".auth.jwt.hmac") && marked.includes(".auth.api_keys.key"), String(marked));
  });
});

describe("any configuration", () => {
  const keys = [
    ...new Set(environmentKeys().flatMap((key) => key.path)),
    "backbones",
    "namespaces",
    "chat",
    "",
    "__proto__",
    "constructor",
    "type",
  ];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<unknown>(
        "any",
        "memory",
        "embedded",
        "at-least-once",
        "5s",
        "1KiB",
        "3/s",
        "1s..2s",
        "${X}",
        "off",
        true,
        5,
        null,
        undefined,
      ),
      fc.string(),
      fc.double(),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie("any"), { maxKeys: 5 }),
    ),
  })).any;

  test("is accepted or refused with a ConfigError, in code", () => {
    fc.assert(
      fc.property(value, (input) => {
        try {
          parseConfig(input as ConfigInput);
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
          assert.ok(error.problems.length > 0 && error.problems.every((problem) => problem !== ""));
        }
        assert.equal(({} as Record<string, unknown>)["port"], undefined);
      }),
      { numRuns: 3000 },
    );
  });

  test("is accepted or refused with a ConfigError, as text", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.string({
        unit: fc.constantFrom(
          "a",
          ":",
          " ",
          "\n",
          "-",
          "{",
          "}",
          "[",
          "]",
          "'",
          '"',
          "&",
          "*",
          "!",
          "|",
          ">",
          "%",
          "#",
          "${X}",
          "http",
          "port",
          "1",
        ),
        maxLength: 60,
      }),
      value.map((input) => JSON.stringify(input) ?? ""),
    );
    fc.assert(
      fc.property(text, (written) => {
        try {
          load(written, { X: "x" });
        } catch (error) {
          assert.ok(error instanceof ConfigError, `${JSON.stringify(written)} ${String(error)}`);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("that was accepted is not altered by being read again", () => {
    const input: ConfigInput = DEV_CONFIG;
    assert.deepEqual(load(JSON.stringify(input)), parseConfig(input));
  });
});

describe("the JSON Schema", () => {
  test("knows the same keys as the schema, describes each, and names their defaults", () => {
    const { properties = {} } = configJsonSchema();
    assert.deepEqual(Object.keys(properties), Object.keys(configSchema.shape));
    for (const { name, path: at } of environmentKeys()) {
      let schema = configJsonSchema();
      for (const key of at) schema = schema.properties?.[key] ?? assert.fail(name);
      assert.ok(schema.description, `${at.join(".")} has no description`);
    }
    assert.equal(properties["http"]?.properties?.["port"]?.default, 8000);
    assert.equal(properties["client"]?.properties?.["ping"]?.default, "25s");
  });
});
