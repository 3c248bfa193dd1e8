import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../clock.ts";
import { jwtAuthenticator } from "../auth/jwt.ts";
import { Folder } from "./program.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

describe("todoku token", () => {
  test("prints a connection token that the gateway accepts, and nothing else", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", `auth: { jwt: { hmac: ${SECRET}, issuer: me, audience: you, algorithms: [HS512] } }\n`);
    const { code, out, error } = await folder.run([
      "token",
      "--user",
      "ada",
      "--info",
      '{"name":"Ada"}',
      "--channels",
      "a,b",
      "--channels",
      "chat:1",
      "--ttl",
      "10m",
    ]);
    assert.equal(code, 0, error);
    assert.match(out, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    assert.equal(error, "");
    const config = { hmac: SECRET, issuer: "me", audience: "you", algorithms: ["HS512"] };
    const claims = await jwtAuthenticator(config, systemClock).connection(out.trim());
    assert.equal(claims.user, "ada");
    assert.deepEqual(claims.info, { name: "Ada" });
    assert.deepEqual([...claims.subs.keys()], ["a", "b", "chat:1"]);
    const left = (claims.expireAt ?? 0) - Date.now() / 1000;
    assert.ok(left > 500 && left <= 600, String(left));
  });

  test("prints a subscription token with --channel", async () => {
    using folder = new Folder();
    const { code, out } = await folder.call([
      "token",
      "--user",
      "ada",
      "--channel",
      "pay:1",
      "--ttl",
      "none",
      "--secret",
      SECRET,
    ]);
    assert.equal(code, 0);
    const claims = await jwtAuthenticator({ hmac: SECRET }, systemClock).subscription(out.trim());
    assert.deepEqual(claims, { user: "ada", channel: "pay:1" });
  });

  test("the secret may come from the environment", async () => {
    using folder = new Folder();
    for (const name of ["TODOKU_JWT_SECRET", "TODOKU_AUTH_JWT_HMAC"]) {
      const { code, out } = await folder.call(["token", "--user", "ada"], { env: { [name]: SECRET } });
      assert.equal(code, 0);
      assert.equal((await jwtAuthenticator({ hmac: SECRET }, systemClock).connection(out.trim())).user, "ada");
    }
  });

  const mistakes: readonly [why: string, args: readonly string[], code: number, error: RegExp][] = [
    ["no user", [], 2, /--user is missing/],
    ["no secret", ["--user", "a"], 1, /no auth\.jwt\.hmac to sign with.*TODOKU_JWT_SECRET/],
    [
      "a bad span of time",
      ["--user", "a", "--ttl", "soon", "--secret", SECRET],
      2,
      /--ttl takes a span of time.*"soon"/,
    ],
    ["bad JSON", ["--user", "a", "--info", "{", "--secret", SECRET], 2, /--info is not JSON/],
    ["a bad channel", ["--user", "a", "--channel", "a b", "--secret", SECRET], 2, /channel "a b" has a character/],
    ["both kinds", ["--user", "a", "--channel", "a", "--channels", "b", "--secret", SECRET], 2, /leave out one/],
    ["an unknown option", ["--usr", "a"], 2, /unknown option --usr; did you mean --user\?/],
    ["a word", ["--user", "a", "b"], 2, /"b" is one word too many/],
  ];
  for (const [why, args, expected, message] of mistakes) {
    test(`${why} is refused`, async () => {
      using folder = new Folder();
      const { code, out, error } = await folder.call(["token", ...args]);
      assert.equal(code, expected);
      assert.equal(out, "");
      assert.match(error, message);
      assert.ok(!error.includes(SECRET));
    });
  }
});
