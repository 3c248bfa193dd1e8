import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type * as Sdk from "@todoku/client";
import { ServerProcess } from "../../../tests/server-process.ts";
import { Visitors } from "./browser-visit.ts";
import { bundle } from "./bundle.ts";

const CHANNEL = "orders:cursors";

for (const store of ["indexedDbCursors", "localStorageCursors"] as const) {
  test(`with ${store} each message is handled once across reloads`, async () => {
    await using server = await ServerProcess.start("dev");
    await using visitors = await Visitors.launch();
    const page = await (await visitors.visitor()).newPage();
    const sdk = await bundle(fileURLToPath(import.meta.resolve("@todoku/client")));
    await page.route("**/sdk.js", (route) => route.fulfill({ contentType: "text/javascript", body: sdk }));
    // A file of the server that runs no script of its own.
    await page.goto(`${server.url}/page/icon.svg`);

    /** Handles until `last` has come, then returns what was handled in this life of the page. */
    const handleUntil = (last: number): Promise<readonly unknown[]> =>
      page.evaluate(
        async ([script, name, channel, end]) => {
          const { Todoku, [name]: cursors } = (await import(script)) as typeof Sdk;
          const client = new Todoku(location.origin, { cursors: cursors() });
          const handled: unknown[] = [];
          await new Promise<void>((resolve) => {
            client.subscribe(
              channel,
              ({ data }) => {
                handled.push(data);
                if (data === end) resolve();
              },
              { start: "earliest" },
            );
          });
          await client.close();
          return handled;
        },
        ["/sdk.js", store, CHANNEL, last] as const,
      );

    for (const n of [1, 2, 3]) await server.api("publish", { channel: CHANNEL, data: n });
    assert.deepEqual(await handleUntil(3), [1, 2, 3]);
    await page.reload();
    for (const n of [4, 5]) await server.api("publish", { channel: CHANNEL, data: n });
    assert.deepEqual(await handleUntil(5), [4, 5]);
    await page.reload();
    await server.api("publish", { channel: CHANNEL, data: 6 });
    assert.deepEqual(await handleUntil(6), [6]);
    assert.deepEqual(visitors.complaints, []);
  });
}
