/**
 * A worker process of the queue test: does jobs until it is ended, or killed. Its argument is `WorkerTask` as JSON. Each attempt is
 * noted, in a file, before it begins.
 */
import { openSync, writeSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";
import { Todoku } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import type { ConfigInput } from "../../server/src/config.ts";
import { createPublisher } from "../../server/src/publisher.ts";
import { FLAKY_FAILURES, LEASE_MS, resultsOf, type Post, type Work } from "./work.ts";

export interface WorkerTask {
  /** A gateway's address, or the configuration to reach the backbone with, with no gateway between. */
  readonly through: { readonly url: string } | { readonly config: ConfigInput };
  /** One worker for each. */
  readonly posts: readonly Post[];
  readonly concurrency: number;
  /** File for the attempts. */
  readonly attempts: string;
}

interface Job {
  readonly data: Work;
  readonly attempt: number;
  result(channel: string, data: { readonly n: number }): void;
}

const { through, posts, concurrency, attempts } = JSON.parse(process.argv[2] ?? "") as WorkerTask;
const notes = openSync(attempts, "a");

/** Outages, lost leases and handlers that throw are what the test is about. */
const ignore = (): void => {};

function handlerOf({ queue, group }: Post): (job: Job) => Promise<void> {
  return async ({ data: { n, kind }, attempt, result }) => {
    writeSync(notes, `${JSON.stringify({ n, queue, group, attempt })}\n`);
    if (kind === "bad") throw new Error("it never works");
    if (kind === "flaky" && attempt <= FLAKY_FAILURES) throw new Error("not yet");
    if (kind === "long") await after(LEASE_MS * 1.5);
    if (kind === "zombie" && attempt === 1) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_MS * 1.5);
    }
    if (n % 10 === 0) await after(Math.random() * 20);
    result(resultsOf(queue, group), { n });
  };
}

async function throughGateway(url: string): Promise<void> {
  for (const post of posts) {
    const client = new Todoku(url, { backoff: { firstMs: 50, lastMs: 500 }, timeoutMs: 5000 });
    client.on("error", ignore);
    consume<Work>(client, post.queue, { group: post.group, concurrency }, handlerOf(post)).on("error", ignore);
  }
}

async function onBackbone(config: ConfigInput): Promise<void> {
  process.on("warning", ignore);
  for (;;) {
    try {
      const backbone = await createPublisher<Record<string, Work>>(config);
      for (const post of posts) {
        backbone.consume(post.queue, { group: post.group, concurrency, onError: ignore }, handlerOf(post));
      }
      return;
    } catch {
      // It is down.
      await after(200);
    }
  }
}

await ("url" in through ? throughGateway(through.url) : onBackbone(through.config));
// Direct workers keep nothing open that would.
setInterval(ignore, 60_000);
