import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { environmentKeys, withOwnVariables, withVariables } from "./config-environment.ts";
import { parseConfig } from "./config-file.ts";

function putIn(given: unknown, env: Record<string, string>): { values: unknown; problems: string[] } {
  const problems: string[] = [];
  return { values: withVariables(given, env, problems), problems };
}

test("${VAR} and ${VAR:-standard} are replaced in every text, wherever it stands", () => {
  const given = { a: "${A}", b: ["x-${B:-b}-${A}", { c: "${EMPTY}" }], d: 1, e: "$A ${} ${9}" };
  assert.deepEqual(putIn(given, { A: "1", EMPTY: "" }), {
    values: { a: "1", b: ["x-b-1", { c: "" }], d: 1, e: "$A ${} ${9}" },
    problems: [],
  });
});

test("a variable that is not set is a problem that names the key and the variable", () => {
  const { problems } = putIn({ auth: { api_keys: [{ key: "${NO_KEY}" }] } }, {});
  assert.deepEqual(problems, ["auth.api_keys.0.key uses ${NO_KEY}, which is not set in the environment"]);
});

test("a variable becomes what its key wants: a port is a number, a secret of digits stays a text", () => {
  const given = {
    production: "${YES}",
    http: { port: "${PORT}", trusted_proxies: "${PROXIES}" },
    auth: { jwt: { hmac: "${DIGITS}" } },
    namespaces: { chat: { retention: { messages: "${PORT}" }, join_leave: "${YES}" } },
  };
  const env = { PORT: "1234", YES: "true", PROXIES: "[10.0.0.1]", DIGITS: "12345678901234567890" };
  assert.deepEqual(putIn(given, env).values, {
    production: true,
    http: { port: 1234, trusted_proxies: ["10.0.0.1"] },
    auth: { jwt: { hmac: "12345678901234567890" } },
    namespaces: { chat: { retention: { messages: 1234 }, join_leave: true } },
  });
});

test("a key's own variable wins over the file, and makes what it stands in", () => {
  const env = {
    TODOKU_HTTP_PORT: "1",
    TODOKU_INTERNAL_PORT: "2",
    TODOKU_AUTH_JWT_HMAC: "0123456789012345",
    TODOKU_DRAIN: "",
  };
  assert.deepEqual(withOwnVariables({ http: { host: "::1", port: 9 }, drain: "1s" }, env), {
    http: { host: "::1", port: 1 },
    internal: { port: 2 },
    auth: { jwt: { hmac: "0123456789012345" } },
    drain: "1s",
  });
});

test("the given configuration is left as it was", () => {
  const given = { http: { port: 9 } };
  withOwnVariables(given, { TODOKU_HTTP_PORT: "1" });
  assert.deepEqual(given, { http: { port: 9 } });
});

test("whatever a variable holds, what comes of it is a configuration or a ConfigError that names the key", () => {
  const keys = fc.constantFrom(...environmentKeys());
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom("*x", "[", "&a [*a]", "{a: 1}", "1e999", "- 1\n---", "!!binary z"),
  );
  fc.assert(
    fc.property(keys, text, ({ name, path }, value) => {
      try {
        parseConfig({}, { [name]: value });
      } catch (error) {
        assert.ok(error instanceof Error && error.name === "ConfigError", String(error));
        assert.ok(error.message.includes(path[0] ?? ""), error.message);
      }
    }),
  );
});
