/** Tokens: what is accepted, and that every flaw is refused with no hint which. */
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { SignJWT, type JWTPayload } from "jose";
import { CLOSES, ERRORS, TodokuError } from "@todoku/protocol";
import { ManualClock } from "../manual-clock.ts";
import type { Authenticator } from "./authenticator.ts";
import { jwtAuthenticator } from "./jwt.ts";
import { signToken } from "./token.ts";

const SECRET = "a-secret-of-the-tests-of-tokens";
const clock = new ManualClock();
const now = Math.floor(clock.now() / 1000);
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();

const shared = jwtAuthenticator({ hmac: SECRET }, clock);

function sign(
  payload: JWTPayload,
  key: KeyObject | Uint8Array = new TextEncoder().encode(SECRET),
  header: { alg: string; [name: string]: unknown } = { alg: "HS256" },
): Promise<string> {
  return new SignJWT(payload).setProtectedHeader(header).sign(key);
}

/** A token that no library would make. */
function forge(header: object, payload: object, secret = SECRET, hash = "sha256"): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part(header)}.${part(payload)}`;
  return `${body}.${createHmac(hash, secret).update(body).digest("base64url")}`;
}

/** Refused as a connection and as a subscription token, with the codes of a flaw and nothing more in the words. */
async function mustRefuse(token: string, by: Authenticator = shared): Promise<void> {
  for (const [check, code] of [
    [() => by.connection(token), CLOSES.invalidToken],
    [() => by.subscription(token), ERRORS.permissionDenied],
  ] as const) {
    await assert.rejects(check, (error) => {
      assert.ok(error instanceof TodokuError);
      assert.deepEqual([error.code, error.message], [code.code, code.message]);
      return true;
    });
  }
}

describe("a genuine token", () => {
  test("says who connects, until when, with what info and subscriptions", async () => {
    const token = await sign({
      sub: "ann",
      exp: now + 60,
      info: { name: "Ann" },
      channels: ["news"],
      subs: { "chat:1": { info: { role: "guest" }, data: 1, recover: { offset: 3, epoch: "e", recover: true } } },
    });
    const { subs, ...claims } = await shared.connection(token);
    assert.deepEqual(claims, { user: "ann", expireAt: now + 60, info: { name: "Ann" } });
    assert.deepEqual(
      [...subs],
      [
        ["news", {}],
        ["chat:1", { info: { role: "guest" }, data: 1, recover: { offset: 3, epoch: "e", recover: true } }],
      ],
    );
  });

  test("without sub is the anonymous user's, without exp has no end", async () => {
    assert.deepEqual(await shared.connection(await sign({})), { user: "", subs: new Map() });
  });

  test("of a subscription says its one channel", async () => {
    const token = await signToken(SECRET, { user: "ann", channel: "chat:1", ttl: 60, info: 1 }, clock.now());
    assert.deepEqual(await shared.subscription(token), { user: "ann", channel: "chat:1", expireAt: now + 60, info: 1 });
  });

  test("of a subscription opens no connection, and the other way round", async () => {
    const subscription = await signToken(SECRET, { user: "ann", channel: "chat:1" }, clock.now());
    await assert.rejects(shared.connection(subscription), { code: CLOSES.invalidToken.code });
    const connection = await signToken(SECRET, { user: "ann" }, clock.now());
    await assert.rejects(shared.subscription(connection), { code: ERRORS.permissionDenied.code });
  });
});

describe("times", () => {
  test("an expired token has a code of its own: get a new one", async () => {
    await assert.rejects(shared.connection(await sign({ exp: now - 60 })), { code: ERRORS.tokenExpired.code });
    await assert.rejects(shared.subscription(await sign({ channel: "a", exp: now - 60 })), {
      code: ERRORS.tokenExpired.code,
    });
  });

  test("a token that is not valid yet is refused; clocks may differ by a few seconds", async () => {
    await mustRefuse(await sign({ channel: "a", nbf: now + 60 }));
    assert.equal((await shared.connection(await sign({ sub: "ann", nbf: now + 3, exp: now - 3 }))).user, "ann");
  });

  test("times that are none are refused", async () => {
    for (const exp of ["soon", null, {}, -1]) {
      const token = forge({ alg: "HS256" }, { sub: "ann", exp });
      await assert.rejects(shared.connection(token), TodokuError, JSON.stringify(exp));
    }
  });
});

describe("issuer and audience", () => {
  const strict = jwtAuthenticator({ hmac: SECRET, issuer: "https://issuer.example", audience: "chat" }, clock);
  const right = { sub: "ann", iss: "https://issuer.example", aud: "chat" };

  test("are demanded where they are configured", async () => {
    assert.equal((await strict.connection(await sign(right))).user, "ann");
    assert.equal((await strict.connection(await sign({ ...right, aud: ["other", "chat"] }))).user, "ann");
    for (const wrong of [
      { iss: undefined },
      { aud: undefined },
      { iss: "https://evil.example" },
      { aud: "other" },
      { aud: [] },
    ]) {
      await assert.rejects(strict.connection(await sign({ ...right, ...wrong } as JWTPayload)), {
        code: CLOSES.invalidToken.code,
      });
    }
  });
});

describe("algorithms", () => {
  const publicly = jwtAuthenticator({ public_key: pem(rsa.publicKey) }, clock);

  test("are those that go with the key: RS256 and ES256 with a public one", async () => {
    assert.equal((await publicly.connection(await sign({ sub: "ann" }, rsa.privateKey, { alg: "RS256" }))).user, "ann");
    const elliptic = jwtAuthenticator({ public_key: pem(ec.publicKey) }, clock);
    assert.equal((await elliptic.connection(await sign({ sub: "ann" }, ec.privateKey, { alg: "ES256" }))).user, "ann");
  });

  test("others are refused, also with the right key", async () => {
    await mustRefuse(await sign({ channel: "a" }, undefined, { alg: "HS512" }));
    await mustRefuse(await sign({ channel: "a" }, rsa.privateKey, { alg: "RS512" }), publicly);
    await mustRefuse(await sign({ channel: "a" }, rsa.privateKey, { alg: "PS256" }), publicly);
  });

  test("only those that are listed, where some are", async () => {
    const listed = jwtAuthenticator({ hmac: SECRET, algorithms: ["HS512"] }, clock);
    assert.equal((await listed.connection(await sign({ sub: "ann" }, undefined, { alg: "HS512" }))).user, "ann");
    await mustRefuse(await sign({ channel: "a" }), listed);
  });

  test("`none` is refused, however it is written and signed", async () => {
    for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
      const [header, payload] = forge({ alg, typ: "JWT" }, { sub: "ann", channel: "a" }).split(".");
      for (const token of [
        `${header}.${payload}.`,
        `${header}.${payload}`,
        forge({ alg }, { sub: "ann", channel: "a" }),
      ]) {
        await mustRefuse(token);
        await mustRefuse(token, publicly);
      }
    }
  });

  test("a public key is no shared secret (HS/RS confusion)", async () => {
    const text = pem(rsa.publicKey);
    for (const secret of [text, text.trim(), rsa.publicKey.export({ type: "pkcs1", format: "pem" }).toString()]) {
      await mustRefuse(forge({ alg: "HS256" }, { sub: "ann", channel: "a" }, secret), publicly);
    }
  });
});

describe("a token that is not genuine", () => {
  test("is refused: another secret, altered parts, no token at all", async () => {
    const good = await sign({ sub: "ann", channel: "a" });
    const [header = "", payload = "", signature = ""] = good.split(".");
    const other = Buffer.from(JSON.stringify({ sub: "admin", channel: "a" })).toString("base64url");
    for (const token of [
      await sign({ sub: "ann", channel: "a" }, new TextEncoder().encode("another-secret-of-the-tests")),
      `${header}.${other}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -2)}`,
      `${header}.${payload}.${signature}.`,
      `${header}..${signature}`,
      good.toUpperCase(),
      "",
      ".",
      "..",
      "a.b.c",
      "null",
      "{}",
      "x".repeat(16_384),
    ]) {
      await mustRefuse(token);
    }
  });

  test("keys that it brings or points to are not looked at", async () => {
    const evil = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const publicly = jwtAuthenticator({ public_key: pem(rsa.publicKey) }, clock);
    const jwk = evil.publicKey.export({ format: "jwk" });
    for (const header of [
      { alg: "RS256", jwk },
      { alg: "RS256", jku: "http://127.0.0.1:1/keys" },
      { alg: "RS256", x5u: "http://127.0.0.1:1/cert", kid: "../../etc/passwd" },
    ]) {
      await mustRefuse(await sign({ channel: "a" }, evil.privateKey, header), publicly);
    }
  });

  test("demands that are not understood (crit) are refused", async () => {
    await mustRefuse(forge({ alg: "HS256", crit: ["exp2"], exp2: 1 }, { channel: "a" }));
  });

  test("claims of a wrong shape are refused", async () => {
    for (const claims of [
      { sub: 5 },
      { sub: "x".repeat(257) },
      { channels: "news" },
      { channels: [1] },
      { subs: [] },
      { subs: { a: { recover: { offset: -1 } } } },
    ]) {
      await assert.rejects(shared.connection(forge({ alg: "HS256" }, claims)), { code: CLOSES.invalidToken.code });
    }
    await assert.rejects(shared.subscription(forge({ alg: "HS256" }, { channel: 1 })), { code: 103 });
  });
});

describe("a public key in a file", () => {
  test("is read again when it is replaced; while it is half written the one from before holds", async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), "todoku-key-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, "key.pem");
    const put = (text: string): void => {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    };
    put(pem(ec.publicKey));
    const fromFile = jwtAuthenticator({ public_key: file }, clock);
    const younger = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const [old, young] = [
      await sign({ channel: "a" }, ec.privateKey, { alg: "ES256" }),
      await sign({ channel: "a" }, younger.privateKey, { alg: "ES256" }),
    ];
    await fromFile.subscription(old);
    await mustRefuse(young, fromFile);
    put("-----BEGIN PUBLIC KEY-----\nhalf");
    await fromFile.subscription(old);
    rmSync(file);
    await fromFile.subscription(old);
    put(pem(younger.publicKey));
    await fromFile.subscription(young);
    await mustRefuse(old, fromFile);
  });

  test("that is none, or not there, is refused at the start", () => {
    assert.throws(() => jwtAuthenticator({ public_key: "/nowhere/key.pem" }, clock), /ENOENT/);
    assert.throws(() =>
      jwtAuthenticator({ public_key: "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----" }, clock),
    );
  });
});
