import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import { configSchema, type ConfigInput } from "../config.ts";
import { environmentKeys } from "../config-environment.ts";
import { parseConfig } from "../config-file.ts";
import { DEV_CONFIG } from "../dev-config.ts";
import { configReference } from "./config-reference.ts";
import { withDefaults, withoutSecrets } from "./effective-config.ts";
import { Folder } from "./program.ts";

const HMAC = "a-very-secret-secret";
const KEY = "another-secret-secret";

describe("todoku config", () => {
  test("prints every key with its value, and no secret", async () => {
    using folder = new Folder();
    folder.write(
      "todoku.yaml",
      `auth: { jwt: { hmac: ${HMAC} }, api_keys: [{ id: one, key: "\${KEY}" }] }\nnamespaces: { constructor: {} }\n`,
    );
    const env = { KEY, TODOKU_HTTP_PORT: "1234" };
    for (const args of [[], ["--json"]]) {
      const { code, out, error } = await folder.run(["config", ...args], { env });
      assert.equal(code, 0, error);
      assert.ok(!out.includes(HMAC) && !out.includes(KEY), out);
      const shown = parse(out) as ConfigInput;
      assert.equal(shown.http?.port, 1234);
      assert.equal(shown.client?.ping, "25s");
      assert.equal(shown.auth?.jwt?.hmac, "***");
      assert.deepEqual(shown.auth?.api_keys, [{ id: "one", key: "***" }]);
      assert.equal(shown.namespaces?.["constructor"]?.subscribe, "authenticated");
    }
  });

  test("what is printed means the same as what was written", () => {
    const inputs: ConfigInput[] = [{}, DEV_CONFIG, { http: { port: 1 }, auth: { jwt: { hmac: HMAC } } }];
    for (const input of inputs) assert.deepEqual(parseConfig(withDefaults(input)), parseConfig(input));
  });

  test("the passwords of URLs are hidden", () => {
    assert.deepEqual(withoutSecrets({ auth: { jwt: { jwks: "https://me:word@host/keys?token=x" } } }), {
      auth: { jwt: { jwks: "https://***@host/keys?***" } },
    });
  });

  test("--schema prints a JSON Schema whose defaults the configuration accepts", async () => {
    using folder = new Folder();
    const { code, out } = await folder.call(["config", "--schema"]);
    assert.equal(code, 0);
    const schema = JSON.parse(out) as { properties: Record<string, { default?: unknown }> };
    assert.deepEqual(Object.keys(schema.properties), Object.keys(configSchema.shape));
    const defaults = Object.fromEntries(
      Object.entries(schema.properties).flatMap(([key, property]) =>
        property.default === undefined ? [] : [[key, property.default]],
      ),
    );
    assert.deepEqual(parseConfig(defaults), parseConfig({}));
  });

  test("docs has a row for every key that the environment can set, and says what it is for", async () => {
    using folder = new Folder();
    const { code, out } = await folder.call(["config", "docs"]);
    assert.equal(code, 0);
    assert.equal(out, `${configReference()}\n`);
    for (const { name, path } of environmentKeys()) {
      const row = out.split("\n").find((line) => line.startsWith(`| \`${path.join(".")}\` |`));
      assert.ok(row !== undefined && row.includes(`\`${name}\``), `${name} in ${row}`);
      assert.doesNotMatch(row, /\|\s*\|$/, "every key has a meaning");
    }
  });

  test("a broken file and an unknown word are refused", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", "htpp: {}\n");
    const broken = await folder.call(["config"]);
    assert.equal(broken.code, 1);
    assert.match(broken.error, /htpp is unknown; did you mean http\?/);
    const unknown = await folder.call(["config", "doc"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.error, /not "doc"/);
  });

  test("whatever is hidden, nothing else changes", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9 .-]{16,40}$/), fc.nat(65_535), (secret, port) => {
        const shown = withoutSecrets({ http: { port }, auth: { jwt: { hmac: secret, issuer: "me" } } });
        assert.deepEqual(shown, { http: { port }, auth: { jwt: { hmac: "***", issuer: "me" } } });
      }),
    );
  });
});
