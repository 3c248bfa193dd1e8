/** What is of Node's listener alone: it shares an application's server with other listeners. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocket } from "ws";
import { parseConfig } from "../../config-file.ts";
import { Todoku } from "../../server.ts";

test("C1 a path that somebody else listens at is left to them", async (t) => {
  const todoku = await Todoku.open(parseConfig({ auth: { insecure: true }, log: { level: "silent" } }));
  const server = createServer();
  todoku.attach(server);
  server.on("upgrade", ({ url }, socket) => {
    if (url === "/mine") socket.end('HTTP/1.1 418 Teapot\r\nContent-Length: 14\r\n\r\n{"error":null}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.close();
    await todoku.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}/mine`);
  client.on("error", () => {});
  const [, response] = (await once(client, "unexpected-response")) as [unknown, IncomingMessage];
  assert.equal(response.statusCode, 418);
  response.resume();
});
