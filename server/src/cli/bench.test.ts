import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LoadResult } from "../load/load-run.ts";
import { EXIT } from "./command.ts";
import { Folder, type Ended, type Started } from "./program.ts";

const CONFIG = `
http: { port: 0 }
drain: 0s
auth: { jwt: { hmac: 0123456789abcdef0123 } }
backbones: { disk: { type: embedded }, here: { type: memory } }
namespaces:
  chat: { backbone: disk, delivery: at-least-once, publish: authenticated }
  ticker: { backbone: here, delivery: at-most-once, publish: authenticated }
  silent: { backbone: here, delivery: at-most-once, publish: none }
`;

function resultOf({ out }: Ended): LoadResult {
  return JSON.parse(out) as LoadResult;
}

describe("todoku bench", () => {
  const folder = new Folder();
  let server: Started;
  let url = "";
  before(async () => {
    folder.write("todoku.yaml", CONFIG);
    server = folder.start(["serve", "--port", "0"]);
    [, url = ""] = /serving (\S+)/.exec(await server.printed(/serving \S+\n/)) ?? [];
  });
  after(async () => {
    server.child.kill("SIGTERM");
    await server.ended;
    folder[Symbol.dispose]();
  });
  const bench = (...args: string[]): Promise<Ended> =>
    folder.call(["bench", ...args], { env: { TODOKU_HTTP_PORT: new URL(url).port } });

  test("counts what everybody gets, with the token that todoku.yaml lets it sign", async () => {
    const ended = await bench("--connections", "6", "--rate", "40", "--seconds", "1");
    assert.equal(ended.code, EXIT.ok, ended.error);
    const result = resultOf(ended);
    assert.equal(result.connected, 6);
    assert.equal(result.published, 50, "a second, and a quarter to warm up");
    assert.equal(result.delivered, 300);
    assert.deepEqual([result.lost, result.repeated, result.wrong], [0, 0, 0]);
    assert.ok(result.latency.p50 > 0 && result.latency.p50 <= result.latency.p99);
    assert.ok(result.answer.max > 0);
    assert.equal(ended.error, "");
  });

  test("spreads connections over channels, and channels over connections", async () => {
    const args = ["--rate", "40", "--seconds", "1", "--connect-rate", "200"];
    const few = resultOf(await bench("ticker:few", "--connections", "5", "--channels", "2", ...args));
    // Of 50 messages each channel gets 25; one has three subscribers, the other two.
    assert.deepEqual([few.delivered, few.lost], [125, 0]);
    const more = resultOf(await bench("ticker:more", "--connections", "2", "--channels", "5", ...args));
    assert.deepEqual([more.delivered, more.lost], [50, 0]);
  });

  test("counts the publishes that are refused, with the reason, and ends with 1", async () => {
    const { code, out, error } = await bench("silent:x", "--connections", "1", "--rate", "20", "--seconds", "1");
    assert.equal(code, EXIT.failed);
    const { publishesRefused, lost } = JSON.parse(out) as LoadResult;
    assert.deepEqual(publishesRefused, { "permission denied (103)": 25 });
    assert.equal(lost, 0, "what was refused is not lost");
    assert.match(error, /25 publishes were refused: permission denied/);
  });

  test("Ctrl-C ends it early, with what was measured", async () => {
    const env = { TODOKU_HTTP_PORT: new URL(url).port };
    const subscriber = folder.start(["subscribe", "chat:stopped", "--limit", "1"], env);
    await subscriber.printed("subscribed to", "error");
    const running = folder.start(["bench", "chat:stopped", "--connections", "2", "--seconds", "600"], env);
    await subscriber.ended;
    running.child.kill("SIGINT");
    const ended = await running.ended;
    assert.equal(ended.code, EXIT.interrupted);
    const { interrupted, published, delivered, lost } = resultOf(ended);
    assert.deepEqual([interrupted, lost], [true, 0]);
    assert.equal(delivered, 2 * published);
  });

  test("says why nobody was let in, and what to do", async () => {
    const unknown = await bench("strange:x");
    assert.equal(unknown.code, EXIT.failed);
    assert.match(unknown.error, /let no connection in: unknown channel \(102\) \(name one of the server's/);
    using elsewhere = new Folder();
    const stranger = await elsewhere.call(["bench", "--url", url, "--token", "none"]);
    assert.equal(stranger.code, EXIT.failed);
    assert.match(stranger.error, /let no connection in: .*--token/);
    const nobody = await elsewhere.call(["bench", "--url", "http://127.0.0.1:1"]);
    assert.equal(nobody.code, EXIT.unavailable);
    assert.match(nobody.error, /cannot reach http:\/\/127\.0\.0\.1:1/);
  });

  test("an option that is out of range is named, with its value", async () => {
    for (const [option, value] of [
      ["size", "29"],
      ["size", "9000000"],
      ["rate", "0"],
      ["connections", "many"],
    ] as const) {
      const { code, error } = await bench(`--${option}`, value);
      assert.equal(code, EXIT.usage, `--${option} ${value}`);
      assert.ok(error.includes(`--${option}`) && error.includes(value), error);
    }
  });
});
