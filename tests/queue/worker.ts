/** A worker process of the queue test: does jobs until it is ended, or killed. Arguments: URL, `fenced` or `unfenced`. */
import { setTimeout as after } from "node:timers/promises";
import { Todoku } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import { LEASE_MS, QUEUE, RESULTS, type Work } from "./work.ts";

const MOST_MS = 20;

const [url = "", mode = "fenced"] = process.argv.slice(2);
const client = new Todoku(url, { backoff: { firstMs: 20, lastMs: 200 } });
// Outages, lost leases and handlers that throw are what the test is about.
client.on("error", () => {});
const worker = consume<Work>(client, QUEUE, { concurrency: 4 }, async ({ data, attempt, result }) => {
  if (data.kind === "bad") throw new Error("it never works");
  await after(Math.random() * MOST_MS);
  // The whole process stands still beyond its leases, and goes on as if it had them.
  if (data.kind === "overrun" && attempt === 1) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_MS * 1.5);
  }
  if (mode === "fenced") result(RESULTS, { n: data.n });
  else await client.publish(RESULTS, { n: data.n });
});
worker.on("error", () => {});
await worker.ready;
console.log("ready");
