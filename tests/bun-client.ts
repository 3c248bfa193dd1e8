/** What `bun.test.ts` runs in Bun: `bun-client.ts URL FOLDER` prints what its handler was given, as one line of JSON. */
import { Todoku } from "@todoku/client";
import { fileCursors } from "@todoku/client/file";

const [, , url = "", folder = ""] = process.argv;
const client = new Todoku<Record<string, number>>(url, {
  cursors: fileCursors(`${folder}/cursors.json`),
  backoff: { firstMs: 20, lastMs: 200 },
});
const handled: number[] = [];
const all = Promise.withResolvers<void>();
const subscription = client.subscribe(
  "orders:bun",
  ({ data }) => {
    handled.push(data);
    if (data === 3) all.resolve();
  },
  { durable: "bun", start: "earliest" },
);
await subscription.ready;
await client.publish("orders:bun", 1);
await client.publish("orders:bun", 2);
client.disconnect();
// It waits for the connection that comes back.
const later = client.publish("orders:bun", 3);
await client.connect();
const { offset } = await later;
await all.promise;
const { messages } = await client.history("orders:bun", { limit: 10 });
await client.close();
console.log(
  JSON.stringify({ runtime: "Bun" in globalThis, handled, offset, stored: messages.map(({ data }) => data) }),
);
