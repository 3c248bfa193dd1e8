/** Keys from a URL: cached, rotated without a restart, and not fetched more often than is decent. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { SignJWT } from "jose";
import { CLOSES, ERRORS } from "@todoku/protocol";
import { ManualClock } from "../manual-clock.ts";
import { jwtAuthenticator } from "./jwt.ts";

interface Signer {
  readonly kid: string;
  readonly jwk: object;
  token(): Promise<string>;
}

function signer(kid: string): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    kid,
    jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" },
    token: () => new SignJWT({ sub: kid }).setProtectedHeader({ alg: "ES256", kid }).sign(privateKey),
  };
}

/** A server of keys, whose answer can be changed, and an authenticator that asks it. */
async function serve(t: TestContext, first: readonly Signer[]) {
  const at: { answer: RequestListener; fetches: number } = {
    fetches: 0,
    answer: (_, response) => void response.end(JSON.stringify({ keys: first.map(({ jwk }) => jwk) })),
  };
  const server = createServer((request, response) => {
    at.fetches++;
    at.answer(request, response);
  }).listen(0, "127.0.0.1");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clock = new ManualClock();
  const { connection } = jwtAuthenticator({ jwks: `http://127.0.0.1:${port}/keys.json?secret=hunter2` }, clock);
  return {
    at,
    clock,
    publish: (...signers: Signer[]) => {
      at.answer = (_, response) => void response.end(JSON.stringify({ keys: signers.map(({ jwk }) => jwk) }));
    },
    check: async (one: Signer) => (await connection(await one.token())).user,
    connection,
  };
}

const INVALID = { code: CLOSES.invalidToken.code };
const TRY_LATER = { code: ERRORS.internal.code, retry: "retry" };

describe("a key set", () => {
  test("is fetched once, by however many ask at once, and kept", async (t) => {
    const a = signer("a");
    const { at, check } = await serve(t, [a]);
    assert.equal(at.fetches, 0);
    await Promise.all(Array.from({ length: 20 }, () => check(a)));
    assert.equal(at.fetches, 1);
    await check(a);
    assert.equal(at.fetches, 1);
  });

  test("is fetched again when a token has a key that is not known: rotation needs no restart", async (t) => {
    const [a, b] = [signer("a"), signer("b")];
    const { at, clock, publish, check } = await serve(t, [a]);
    await check(a);
    publish(a, b);
    await clock.advance(31_000);
    assert.equal(await check(b), "b");
    assert.equal(at.fetches, 2);
  });

  test("is not fetched for every unknown key; right after a fetch such a token may try later, then it is invalid", async (t) => {
    const [a, unknown] = [signer("a"), signer("unknown")];
    const { at, clock, check } = await serve(t, [a]);
    await check(a);
    await clock.advance(1000);
    for (let i = 0; i < 50; i++) await assert.rejects(check(unknown), TRY_LATER);
    assert.equal(at.fetches, 1);
    await clock.advance(30_000);
    await assert.rejects(check(unknown), INVALID);
    assert.equal(at.fetches, 2);
  });

  test("a key that was withdrawn is good until the set is old", async (t) => {
    const [a, b] = [signer("a"), signer("b")];
    const { clock, publish, check } = await serve(t, [a, b]);
    await check(a);
    publish(b);
    await clock.advance(599_000);
    await check(a);
    await clock.advance(2000);
    await assert.rejects(check(a), INVALID);
    await check(b);
  });

  test("that cannot be fetched at first: try later, which is no verdict on the token", async (t) => {
    const a = signer("a");
    const { at, clock, publish, check } = await serve(t, [a]);
    for (const answer of [
      (_, response) => void response.writeHead(500).end(),
      (_, response) => void response.end("no JSON"),
      (_, response) => void response.end('{"keys":5}'),
      (_, response) => void response.writeHead(302, { location: "/elsewhere" }).end(),
      (_, response) => void response.destroy(),
      (_, response) => void response.end(JSON.stringify({ keys: [], much: "x".repeat(2_000_000) })),
    ] as RequestListener[]) {
      at.answer = answer;
      await assert.rejects(check(a), TRY_LATER);
    }
    publish(a);
    await clock.advance(1);
    assert.equal(await check(a), "a");
  });

  test("that cannot be fetched again: the keys from before hold for a day, and their server is not hurried", async (t) => {
    const a = signer("a");
    const { at, clock, check } = await serve(t, [a]);
    await check(a);
    at.answer = (_, response) => void response.writeHead(503).end();
    await clock.advance(3_600_000);
    for (let i = 0; i < 20; i++) assert.equal(await check(a), "a");
    assert.equal(at.fetches, 2);
    await clock.advance(86_400_000);
    await assert.rejects(check(a), TRY_LATER);
  });

  test("that never answers is given up after some time", async (t) => {
    const a = signer("a");
    const { at, clock, check } = await serve(t, [a]);
    const asked = new Promise<void>((resolve) => {
      at.answer = () => resolve();
    });
    const checked = assert.rejects(check(a), TRY_LATER);
    await asked;
    await clock.advance(5000);
    await checked;
  });

  test("errors name the place without its query, where a secret may stand", async (t) => {
    const a = signer("a");
    const { at, connection } = await serve(t, [a]);
    at.answer = (_, response) => void response.writeHead(500).end();
    await assert.rejects(connection(await a.token()), ({ cause, message }: Error) => {
      assert.equal(message, ERRORS.internal.message);
      assert.ok(cause instanceof Error);
      assert.match(cause.message, /^cannot fetch the keys from http:\/\/127\.0\.0\.1:\d+\/keys\.json$/);
      return true;
    });
  });

  test("a token that names a key without a signature of it is refused", async (t) => {
    const [a, forged] = [signer("a"), signer("a")];
    const { check } = await serve(t, [a]);
    await assert.rejects(check(forged), INVALID);
  });
});
