import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { Writable } from "node:stream";
import type { IncomingMessage, ServerResponse } from "node:http";
import { HttpServer } from "./http-server.ts";
import { createLogger } from "./logger.ts";

/** Listens with one handler; `log` holds what was written about it. */
async function listening(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>,
): Promise<{ url: string; log: string[] }> {
  const log: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      log.push(chunk.toString());
      done();
    },
  });
  const logger = createLogger({ level: "error" }, destination);
  const server = new HttpServer({ key: "http", host: "127.0.0.1", port: 0, handlers: [handler], logger });
  const url = await server.listen();
  t.after(async () => {
    const stopped = server.stop();
    server.cut();
    await stopped;
  });
  return { url, log };
}

describe("a handler that rejects fails its request and nothing else", () => {
  test("with 500 when nothing was answered yet; the next request is answered", async (t) => {
    const { url, log } = await listening(t, async ({ url: path }, response) => {
      if (path === "/broken") throw new Error("not foreseen");
      response.end("well");
      return true;
    });
    const broken = await fetch(`${url}/broken`);
    assert.equal(broken.status, 500);
    assert.deepEqual(await broken.json(), { error: { code: 500, message: "internal error" } });
    assert.equal(await (await fetch(url)).text(), "well");
    assert.equal(log.length, 1);
    assert.match(log[0] ?? "", /"message":"not foreseen".*"msg":"a request could not be answered"/);
  });

  test("with a cut connection when the answer had begun", async (t) => {
    const { url, log } = await listening(t, async (_, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("half");
      throw new Error("not foreseen");
    });
    await assert.rejects(async () => (await fetch(url)).text());
    assert.equal(log.length, 1);
  });
});

test("what no handler answers is 404", async (t) => {
  const { url } = await listening(t, async () => false);
  const { status, ok } = await fetch(url);
  assert.deepEqual([status, ok], [404, false]);
});
