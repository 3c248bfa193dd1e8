/** What a request must be before a method sees it, and what it gets otherwise. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import * as fc from "fast-check";
import { ManualClock } from "../manual-clock.ts";
import { API_KEY, RunningApi, TEST_CONFIG, type Answered, type Sent } from "./running-api.ts";

const PUBLISH = JSON.stringify({ channel: "bare", data: 1 });
const KEYED = { "x-api-key": API_KEY };

describe("who may call the API with keys", () => {
  let api: RunningApi;
  before(async () => (api = await RunningApi.start()));
  after(() => api.close());
  const publish = (headers: Record<string, string>): Promise<Answered> =>
    api.send({ path: "/api/publish", headers, body: PUBLISH });

  test("X-API-Key and Authorization: apikey are both keys", async () => {
    for (const headers of [
      KEYED,
      { authorization: `apikey ${API_KEY}` },
      { Authorization: `APIKEY ${API_KEY}` },
    ] as Record<string, string>[]) {
      assert.equal((await publish(headers)).status, 200);
    }
  });

  const wrong: Record<string, string>[] = [
    {},
    { "x-api-key": "" },
    { "x-api-key": API_KEY.slice(0, -1) },
    { "x-api-key": `${API_KEY}x` },
    { "x-api-key": API_KEY.toUpperCase() },
    { authorization: `bearer ${API_KEY}` },
    { authorization: API_KEY },
    { authorization: "apikey" },
    { cookie: `x-api-key=${API_KEY}` },
  ];
  for (const headers of wrong) {
    test(`${JSON.stringify(headers).replaceAll(API_KEY, "KEY")} is unauthorized, and the answer does not say why`, async () => {
      const { status, body } = await publish(headers);
      assert.deepEqual([status, body], [401, { error: { code: 101, message: "unauthorized" } }]);
    });
  }

  test("a key in the URL is none: it would stand in logs", async () => {
    assert.equal((await api.send({ path: `/api/publish?api_key=${API_KEY}`, body: PUBLISH })).status, 401);
  });

  test("an unauthorized caller does not learn which methods exist, nor is its body read", async () => {
    const unknown = await api.send({ path: "/api/nonsense", body: "{" });
    assert.deepEqual([unknown.status, unknown.body.error.code], [401, 101]);
  });
});

describe("who may call the API without keys", () => {
  let api: RunningApi;
  before(async () => {
    api = await RunningApi.start({
      ...TEST_CONFIG,
      auth: { insecure: true },
      client: { allowed_origins: ["https://friend.example"] },
    });
  });
  after(() => api.close());
  const publish = (headers: Record<string, string>): Promise<Answered> =>
    api.send({ path: "/api/publish", headers, body: PUBLISH });

  test("programs on this machine may, by every name that it has", async () => {
    const { port } = new URL(api.url);
    for (const host of [
      "localhost",
      "LOCALHOST",
      "127.0.0.1",
      "127.1.2.3",
      "[::1]",
      "app.localhost",
      `localhost:${port}`,
    ]) {
      assert.equal((await publish({ host })).status, 200, host);
    }
  });

  test("a page may from the server's own and from an allowed origin", async () => {
    for (const origin of [api.url, "https://friend.example"]) {
      assert.equal((await publish({ host: new URL(api.url).host, origin })).status, 200, origin);
    }
  });

  test("a page of a foreign origin may not, nor one in a sandbox", async () => {
    for (const origin of [
      "https://evil.example",
      "null",
      "http://localhost.evil.example",
      "https://friend.example.evil",
    ]) {
      assert.equal((await publish({ host: new URL(api.url).host, origin })).status, 401, origin);
    }
  });

  test("a foreign name that resolves to this machine (DNS rebinding) may not, even as its own origin", async () => {
    for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "127.evil.example"]) {
      assert.equal((await publish({ host, origin: `http://${host}` })).status, 401, host);
      assert.equal((await publish({ host })).status, 401, host);
    }
  });

  test("what an unknown proxy forwards may not, whatever it claims", async () => {
    for (const headers of [
      { "x-forwarded-for": "127.0.0.1" },
      { "x-forwarded-for": "203.0.113.9" },
      { forwarded: "for=127.0.0.1" },
    ] as Record<string, string>[]) {
      assert.equal((await publish(headers)).status, 401, JSON.stringify(headers));
    }
  });
});

test("behind a proxy that is trusted, the address that it tells decides", async (context) => {
  const api = await RunningApi.start({
    ...TEST_CONFIG,
    auth: { insecure: true },
    http: { port: 0, trusted_proxies: ["127.0.0.0/8"] },
  });
  context.after(() => api.close());
  const status = async (forwarded: string): Promise<number> =>
    (await api.send({ path: "/api/publish", headers: { "x-forwarded-for": forwarded }, body: PUBLISH })).status;
  assert.equal(await status("127.0.0.9"), 200);
  assert.equal(await status("203.0.113.9"), 401);
  assert.equal(await status("127.0.0.1, 203.0.113.9"), 401);
});

test("without keys and without insecure nobody may", async (context) => {
  const api = await RunningApi.start({ ...TEST_CONFIG, auth: {} });
  context.after(() => api.close());
  for (const headers of [{}, { "x-api-key": "" }, { "x-api-key": "undefined" }]) {
    assert.equal((await api.send({ path: "/api/publish", headers, body: PUBLISH })).status, 401);
  }
});

describe("what is wrong with a request", () => {
  let api: RunningApi;
  const clock = new ManualClock();
  before(async () => (api = await RunningApi.start(TEST_CONFIG, { clock })));
  after(() => api.close());
  const send = (sent: Partial<Sent>): Promise<Answered> =>
    api.send({ path: "/api/publish", ...sent, headers: { ...KEYED, ...sent.headers } });

  test("404 for paths that are not there", async () => {
    for (const path of ["/nothing", "/api", "/apis/publish", "/healthy", "/api/../x"]) {
      assert.equal((await send({ path, body: PUBLISH })).status, 404, path);
    }
  });

  test("404 with code 104 for a method that is not there; the answer names those that are", async () => {
    for (const path of [
      "/api/",
      "/api/publish/",
      "/api/Publish",
      "/api/constructor",
      "/api/__proto__",
      "/api/publish%20",
    ]) {
      const { status, body } = await send({ path, body: PUBLISH });
      assert.deepEqual([status, body.error.code], [404, 104], path);
      assert.match(body.error.message, /publish, broadcast, batch/);
    }
  });

  test("405 for other verbs, with the right one in Allow", async () => {
    for (const method of ["GET", "PUT", "DELETE", "OPTIONS"]) {
      const { status, headers } = await send({ method });
      assert.deepEqual([status, headers.allow], [405, "POST"], method);
    }
    for (const path of ["/health", "/health/live", "/metrics", "/api/openapi.json"]) {
      const { status, headers } = await send({ path });
      assert.deepEqual([status, headers.allow], [405, "GET"], path);
    }
  });

  for (const [name, body] of [
    ["no JSON", "channel=bare"],
    ["half a body", '{"channel":"bare"'],
    ["two bodies", `${PUBLISH}${PUBLISH}`],
    ["not UTF-8", Buffer.from([...Buffer.from('{"channel":"bare","data":"'), 0xff, 0xfe, ...Buffer.from('"}')])],
    [
      "a cut UTF-8 sequence",
      Buffer.from([...Buffer.from('{"channel":"bare","data":"'), 0xe2, 0x82, ...Buffer.from('"}')]),
    ],
    ["nested too deep", `{"channel":"bare","data":${"[".repeat(100)}${"]".repeat(100)}}`],
    ["nested a million deep", `{"channel":"bare","data":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`],
  ] as const) {
    test(`400 for ${name}`, async () => {
      const { status, body: answered } = await send({ body });
      assert.deepEqual([status, answered.error.code], [400, 107]);
    });
  }

  for (const [request, message] of [
    [{}, "bad request: channel is missing"],
    [{ channel: "bare" }, "bad request: data is missing"],
    [{ channel: 1, data: 1 }, "bad request: channel must be a string"],
    [{ channel: "", data: 1 }, "bad request: channel is empty"],
    [{ channel: "a b", data: 1 }, /^bad request: channel has a character other than/],
    [{ channel: "$internal", data: 1 }, "bad request: channel begins with $, which is kept for the platform"],
    [{ channel: "x".repeat(256), data: 1 }, "bad request: channel is longer than 255 bytes"],
    [{ channel: "bare", data: 1, tags: { a: 1 } }, "bad request: tags.a must be a string"],
    [{ channel: "bare", data: 1, tags: [] }, "bad request: tags must be a record"],
    [
      { channel: "bare", data: 1, tags: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`t${i}`, ""])) },
      "bad request: tags must have at most 16 entries",
    ],
    [{ channel: "bare", data: 1, idempotency_key: "" }, /^bad request: idempotency_key is wrong: /],
    [{ channel: "bare", data: 1, idempotency_age_ms: -1 }, /^bad request: idempotency_age_ms is wrong: /],
    [[], "bad request: the body must be an object"],
    ["text", "bad request: the body must be an object"],
    [null, "bad request: the body must be an object"],
  ] as const) {
    test(`107 for ${JSON.stringify(request).slice(0, 70)}: the field is named`, async () => {
      const { status, body } = await send({ body: JSON.stringify(request) });
      assert.deepEqual([status, body.error.code], [200, 107]);
      if (typeof message === "string") assert.equal(body.error.message, message);
      else assert.match(body.error.message, message);
    });
  }

  test("an empty body is an empty request", async () => {
    assert.equal((await send({ path: "/api/info" })).body.result.nodes.length, 1);
  });

  test("data that is larger than a message may be is 400 in the answer, and names the limit", async () => {
    const { status, body } = await send({ body: JSON.stringify({ channel: "bare", data: "x".repeat(65_536) }) });
    assert.deepEqual([status, body.error.code], [200, 400]);
    assert.match(body.error.message, /65536 bytes/);
    assert.equal(
      (await send({ body: JSON.stringify({ channel: "bare", data: "x".repeat(65_534) }) })).body.error,
      undefined,
    );
  });

  test("413 at once for a body that says it is too large, and when one turns out to be", async () => {
    const socket = await open(api);
    socket.write(`${head({ "content-length": String(17 * 1024 * 1024) })}{`);
    assert.match(await firstLine(socket), / 413 /);

    const other = await open(api);
    other.on("error", () => {});
    other.write(head({ "transfer-encoding": "chunked" }));
    const chunk = `100000\r\n${"x".repeat(0x100000)}\r\n`;
    for (let i = 0; i < 17; i++) other.write(chunk);
    assert.match(await firstLine(other), / 413 /);
    socket.destroy();
    other.destroy();
  });

  test("408 for a body that does not come, and the connection is closed", async () => {
    const socket = await open(api);
    const timers = clock.waiting;
    socket.write(`${head({ "content-length": "100" })}{"channel"`);
    while (clock.waiting === timers) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(30_000);
    const answer = await firstLine(socket);
    assert.match(answer, / 408 /);
    await once(socket, "close");
  });

  test("a caller that breaks off leaves nothing behind", async () => {
    const timers = clock.waiting;
    const socket = await open(api);
    socket.write(`${head({ "content-length": "100" })}{"channel"`);
    while (clock.waiting === timers) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    while (clock.waiting > timers) await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await send({ body: PUBLISH })).status, 200);
  });

  test("431 for headers beyond all measure", async () => {
    assert.equal((await send({ headers: { "x-much": "x".repeat(20_000) }, body: PUBLISH })).status, 431);
  });

  test("answers are JSON that no browser takes for something else", async () => {
    for (const body of [PUBLISH, "{"]) {
      const { headers } = await send({ body });
      assert.equal(headers["content-type"], "application/json");
      assert.equal(headers["x-content-type-options"], "nosniff");
    }
  });

  test("any bytes as a body get an answer, never a crash nor an internal error", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
          fc.json(),
          fc
            .record(
              { channel: fc.oneof(fc.string(), fc.constant("bare")), data: fc.jsonValue(), tags: fc.anything() },
              { requiredKeys: [] },
            )
            .map((value) => JSON.stringify(value)),
          fc.record({ commands: fc.jsonValue() }).map((value) => JSON.stringify(value)),
        ),
        fc.constantFrom(
          "publish",
          "broadcast",
          "batch",
          "history",
          "presence",
          "channels",
          "subscribe",
          "disconnect",
          "refresh",
        ),
        async (body, method) => {
          const { status, body: answered } = await send({ path: `/api/${method}`, body });
          assert.ok([200, 400].includes(status), `${status}`);
          assert.notEqual(answered.error?.code, 100, JSON.stringify(answered));
        },
      ),
      { numRuns: 500 },
    );
  });
});

function open(api: RunningApi): Promise<Socket> {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  return once(socket, "connect").then(() => socket);
}

function head(headers: Record<string, string>): string {
  const lines = Object.entries({ host: "localhost", "x-api-key": API_KEY, ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `POST /api/publish HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

async function firstLine(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString().split("\r\n", 1)[0] ?? "";
}
