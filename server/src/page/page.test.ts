import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { parseConfig } from "../config-file.ts";
import { DEV_CONFIG } from "../dev-config.ts";
import { servePage } from "./page.ts";

test("the page answers for its own files, says what is promised, and leaves everything else to others", async () => {
  const page = servePage(parseConfig(DEV_CONFIG));
  const server = createServer((request, response) => {
    void page(request, response).then((answered) => {
      if (!answered) response.writeHead(404).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const index = await (await fetch(`${url}/?quiet`)).text();
    const [, promises = ""] = /<script id="promises" type="application\/json">(.*?)<\/script>/s.exec(index) ?? [];
    assert.deepEqual(JSON.parse(promises), [
      { channel: "ticker:demo", delivery: "at-most-once", maxAttempts: 5 },
      { channel: "chat:demo", delivery: "at-least-once", maxAttempts: 5 },
      { channel: "orders:demo", delivery: "exactly-once", maxAttempts: 5, deadLetters: "dead:orders" },
    ]);

    const types: Record<string, string> = {};
    for (const [, file = ""] of index.matchAll(/(?:href|src)="(\/page\/[^"]+)"/g)) {
      const head = await fetch(url + file, { method: "HEAD" });
      assert.equal(head.status, 200, file);
      assert.equal(await head.text(), "");
      types[file] = head.headers.get("content-type") ?? "";
    }
    assert.deepEqual(types, {
      "/page/icon.svg": "image/svg+xml",
      "/page/style.css": "text/css; charset=utf-8",
      "/page/main.js": "text/javascript; charset=utf-8",
    });

    // Bun's own `fetch` asks for `/` where it is told `//`.
    const none = ["/page/", "/page/nothing", "/page/__proto__", "/other", ...("Bun" in globalThis ? [] : ["//"])];
    for (const path of none) assert.equal((await fetch(url + path)).status, 404, path);
    assert.equal((await fetch(url, { method: "POST" })).status, 404);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
