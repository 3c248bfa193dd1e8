/** Whatever is in todoku.yaml, `check` says what it thinks of it: it never crashes, and each problem is a sentence. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as fc from "fast-check";
import { stringify } from "yaml";
import { startingConfig } from "./starting-config.ts";
import { Folder } from "./program.ts";

const folder = new Folder();
after(() => folder[Symbol.dispose]());

interface Checked {
  readonly ok: boolean;
  readonly problems?: readonly string[];
  readonly namespaces?: readonly unknown[];
}

async function check(text: string | Buffer): Promise<Checked> {
  folder.write("todoku.yaml", text);
  const { code, out, error } = await folder.call(["check", "--json"]);
  assert.equal(error, "", "nothing unforeseen");
  const checked = JSON.parse(out) as Checked;
  assert.equal(code, checked.ok ? 0 : 1);
  if (checked.ok) assert.ok(checked.namespaces);
  else {
    assert.ok(checked.problems && checked.problems.length > 0);
    for (const problem of checked.problems) assert.match(problem, /\S{3,}.*\s\S/, "a problem is a sentence");
  }
  return checked;
}

const seed = Number(process.env["TODOKU_SEED"] ?? Date.now() % 2 ** 31);
const runs = { seed, numRuns: 200 };

test(`arbitrary bytes (TODOKU_SEED=${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      await check(Buffer.from(bytes));
    }),
    runs,
  );
});

test(`texts in the manner of YAML (TODOKU_SEED=${seed})`, async () => {
  const pieces = [
    "a",
    "http",
    ":",
    " ",
    "\n",
    "  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&x",
    "*x",
    "<<",
    "!!binary ",
    "? ",
    "|",
    ">",
    "'",
    '"',
    "#",
    "${A}",
    "${B:-",
    "%",
    "---",
    "...",
    "__proto__",
    "0x1f",
    ".nan",
    "~",
    ",",
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), async (parts) => {
      await check(parts.join(""));
    }),
    runs,
  );
});

const name = fc.oneof(
  fc.constantFrom("", "chat", "local", "constructor", "__proto__", "toString", "a-b_c", "A", "1"),
  fc.string({ maxLength: 5 }),
);
const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    8000,
    1.5,
    1e300,
    "",
    "10m",
    "64KiB",
    "50/s",
    "off",
    "1s..1m",
    "any",
    "token",
    "*",
    "${HOME}",
    "memory",
    "embedded",
    "at-least-once",
    "exactly-once",
    "chat:1",
  ),
  fc.string({ maxLength: 20 }),
  fc.integer(),
);
const anything = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(name, scalar, { maxKeys: 3 }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Often right, sometimes anything. */
function mostly<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 30, arbitrary }, { weight: 1, arbitrary: anything });
}

const access = mostly(fc.constantFrom("none", "any", "authenticated", "subscribers", "token"));
const config = fc.record(
  {
    production: mostly(fc.boolean()),
    http: mostly(
      fc.record(
        {
          port: mostly(fc.nat(65_535)),
          trusted_proxies: mostly(
            fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant("10.0.0.0/99"), fc.string()), { maxLength: 3 }),
          ),
          tls: mostly(
            fc.record({
              cert: fc.constantFrom("./gone.pem", ".", ""),
              key: fc.constantFrom("./gone.pem", "todoku.yaml"),
            }),
          ),
        },
        { requiredKeys: [] },
      ),
    ),
    internal: mostly(fc.record({ port: mostly(fc.nat(65_535)) })),
    auth: mostly(
      fc.record(
        {
          jwt: mostly(
            fc.record(
              {
                hmac: mostly(fc.constant("0123456789abcdef")),
                public_key: mostly(fc.constantFrom("./gone.pem", "todoku.yaml", ".", "-----BEGIN NOTHING-----")),
                jwks: mostly(fc.constantFrom("https://example.com/keys", "ftp://x", "http://")),
                algorithms: mostly(fc.array(fc.constantFrom("HS256", "RS256", "none"), { maxLength: 2 })),
              },
              { requiredKeys: [] },
            ),
          ),
          insecure: mostly(fc.boolean()),
        },
        { requiredKeys: [] },
      ),
    ),
    backbones: mostly(
      fc.dictionary(name, mostly(fc.record({ type: fc.constantFrom("memory", "embedded") })), { maxKeys: 3 }),
    ),
    namespaces: mostly(
      fc.dictionary(
        name,
        mostly(
          fc.record(
            {
              backbone: mostly(name),
              log: mostly(name),
              delivery: mostly(fc.constantFrom("at-most-once", "at-least-once", "exactly-once")),
              dedupe: mostly(fc.constantFrom("0s", "10m", "365d")),
              retention: mostly(
                fc.record({ age: fc.constantFrom("1d", "0s"), messages: fc.integer() }, { requiredKeys: [] }),
              ),
              subscribe: access,
              presence: access,
              redelivery: mostly(
                fc.record({
                  dead_letters: mostly(fc.constantFrom("chat:dead", "dead", "nowhere:1", ":", "constructor:x")),
                }),
              ),
            },
            { requiredKeys: [] },
          ),
        ),
        { maxKeys: 3 },
      ),
    ),
  },
  { requiredKeys: [] },
);

test(`objects in the manner of a configuration (TODOKU_SEED=${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(config, async (object) => {
      await check(stringify(object));
    }),
    runs,
  );
});

test(`a good configuration in which one line is damaged (TODOKU_SEED=${seed})`, async () => {
  const good = startingConfig({
    backbone: "embedded",
    production: true,
    jwtSecret: "s".repeat(32),
    apiKey: "k".repeat(32),
  }).split("\n");
  assert.equal((await check(good.join("\n"))).ok, true);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(60), fc.string({ maxLength: 3 }), async (line, column, put) => {
      const damaged = good.with(line, `${good[line]?.slice(0, column)}${put}${good[line]?.slice(column + 1)}`);
      await check(damaged.join("\n"));
    }),
    runs,
  );
});
