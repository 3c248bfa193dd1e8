/** R8 on real sockets: what waits for all connections together is bounded, and nobody who reads is cut for it, however its bytes get onto the wire. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { TEST_CONFIG } from "./api/running-api.ts";
import { parseConfig } from "./config-file.ts";
import { startServer } from "./server.ts";
import { CAN_CERTIFY, certify } from "./test-certificate.ts";

const CLIENTS = 40;
/** For all clients almost twice the bound. */
const MESSAGE = "x".repeat(12_000);
const TOTAL = "256KiB";

for (const way of ["plain", "tls", "compressed"] as const) {
  test(
    `R8 a message that is more than the bound of all when it goes to all of them reaches everybody who reads: ${way}`,
    { skip: way === "tls" && !CAN_CERTIFY && "openssl is not installed", timeout: 60_000 },
    async (t) => {
      const folder = mkdtempSync(path.join(tmpdir(), "todoku-reading-"));
      t.after(() => rmSync(folder, { recursive: true }));
      const server = await startServer(
        parseConfig({
          ...TEST_CONFIG,
          http: { port: 0, ...(way === "tls" && { tls: certify(folder, "localhost") }) },
          auth: { ...TEST_CONFIG.auth, insecure: true },
          namespaces: { "": { backbone: "memory", subscribe: "any", publish: "any" } },
          client: { queue_bytes_total: TOTAL, compression: way === "compressed" },
        }),
      );
      t.after(() => server.close());
      const url = `${server.url.replace("http", "ws")}/connection/websocket`;
      const options = { rejectUnauthorized: false, perMessageDeflate: way === "compressed" };
      const clients = await Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          const client = new WebSocket(url, options);
          t.after(() => client.terminate());
          await once(client, "open");
          client.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"a"}}');
          await heard(client, (text) => text.includes('"id":2'));
          return client;
        }),
      );
      const outcomes = clients.map((client) => heard(client, (text) => text.includes(MESSAGE)));
      clients[0]?.send(JSON.stringify({ id: 3, publish: { channel: "a", data: MESSAGE } }));
      assert.deepEqual(new Set(await Promise.all(outcomes)), new Set(["heard"]));
      const answers = clients.map((client) => heard(client, (text) => text.includes('"id":4')));
      for (const client of clients) client.send('{"id":4,"unsubscribe":{"channel":"a"}}');
      assert.deepEqual(new Set(await Promise.all(answers)), new Set(["heard"]), "and they are still connected");
    },
  );
}

/** What comes first: such a frame, or the end of the connection. */
function heard(client: WebSocket, wanted: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    if (client.readyState !== client.OPEN) resolve("closed");
    client.on("message", (data: Buffer) => {
      if (wanted(data.toString())) resolve("heard");
    });
    client.on("close", (code) => resolve(`closed with ${code}`));
  });
}
