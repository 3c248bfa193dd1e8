/**
 * A data folder is brought back from a backup, and what is published then gets the offsets of what was lost. `todoku restored` lets
 * everybody know who had more than the backup; the others notice nothing.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once, EventEmitter } from "node:events";
import { cp, rm } from "node:fs/promises";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Todoku, type Gap, type SubscribeOptions } from "@todoku/client";
import { Client } from "pg";
import { needBroker } from "../scripts/brokers/need.ts";
import type { ConfigInput } from "../server/src/config.ts";
import { ServerProcess } from "./server-process.ts";

const CHANNEL = "chat:1";
const open = { backbone: "local", subscribe: "any", publish: "any", history: "any" } as const;
const CONFIG = {
  drain: "0s",
  auth: { insecure: true },
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: { chat: { ...open, delivery: "exactly-once" } },
} as const satisfies ConfigInput;

const postgres = await needBroker("postgres");

/** `from` to `to`, both included. */
function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** A server with a folder that can be saved and brought back, and a channel. */
class Site {
  readonly server: ServerProcess;

  constructor(server: ServerProcess) {
    this.server = server;
  }

  static async start(t: TestContext, config: ConfigInput): Promise<Site> {
    const server = await ServerProcess.start(config);
    t.after(() => server[Symbol.asyncDispose]());
    return new Site(server);
  }

  get #data(): string {
    return path.join(this.server.folder, "data");
  }

  get #backup(): string {
    return path.join(this.server.folder, "backup");
  }

  async publish(from: number, to: number): Promise<void> {
    for (const data of numbers(from, to)) await this.server.api("publish", { channel: CHANNEL, data });
  }

  async save(): Promise<void> {
    await this.server.stop();
    await cp(this.#data, this.#backup, { recursive: true });
    await this.server.restart();
  }

  /** Brings the folder back and starts the server, after `todoku restored`. */
  async bringBack(): Promise<void> {
    await this.server.stop();
    await rm(this.#data, { recursive: true });
    await cp(this.#backup, this.#data, { recursive: true });
    const { code, stderr } = await this.server.command("restored");
    assert.equal(code, 0, stderr);
    await this.server.restart();
  }
}

/** Somebody who is subscribed, and what they were handed. */
class Listener {
  readonly handled: number[] = [];
  readonly gaps: Pick<Gap, "from" | "to" | "reason">[] = [];
  readonly client: Todoku<Record<string, number>>;
  readonly #arrived = new EventEmitter();

  constructor(t: TestContext, { server }: Site, options: SubscribeOptions) {
    this.client = new Todoku(server.url, { backoff: { firstMs: 20, lastMs: 200 } });
    this.client.on("error", () => {});
    t.after(() => this.client.disconnect());
    const subscription = this.client.subscribe(
      CHANNEL,
      ({ data }) => {
        this.handled.push(data);
        this.#arrived.emit("one");
      },
      { start: "earliest", ...options },
    );
    subscription.on("gap", ({ from, to, reason }) => this.gaps.push({ from, to, reason }));
  }

  /** Resolves when the message was handled. */
  async until(data: number): Promise<void> {
    while (!this.handled.includes(data)) await once(this.#arrived, "one", { signal: AbortSignal.timeout(30_000) });
  }
}

describe("a data folder that was brought back from a backup", { timeout: 180_000 }, () => {
  for (const workers of [1, 2]) {
    const skip = workers > 1 && process.platform !== "linux" && "processes share a port on Linux";
    const how = workers === 1 ? "one process" : "a store behind two workers";
    test(
      `R13, K14 ${how}: who had more is told of a gap, and everybody handles what is published then`,
      { skip },
      async (t) => {
        const site = await Site.start(t, { ...CONFIG, workers });
        const ahead = [new Listener(t, site, { durable: "ahead" }), new Listener(t, site, {})];
        const level = [new Listener(t, site, { durable: "level" }), new Listener(t, site, {})];
        const behind = [new Listener(t, site, { durable: "behind" }), new Listener(t, site, {})];
        const all = [...ahead, ...level, ...behind];
        await site.publish(1, 6);
        for (const one of all) await one.until(6);
        for (const { client } of behind) client.disconnect();
        await site.publish(7, 10);
        for (const one of [...ahead, ...level]) await one.until(10);
        for (const { client } of level) client.disconnect();
        await site.save();
        await site.publish(11, 20);
        for (const one of ahead) await one.until(20);
        // They come back when as much was published again as was lost, and more: no offset shows anything.
        for (const { client } of ahead) client.disconnect();
        await site.bringBack();
        await site.publish(101, 115);
        for (const { client } of all) await client.connect();
        for (const one of all) await one.until(115);

        for (const { handled, gaps } of ahead) {
          assert.deepEqual(handled, [...numbers(1, 20), ...numbers(101, 115)]);
          assert.deepEqual(gaps, [{ from: 11, to: 10, reason: "epoch" }]);
        }
        for (const { handled, gaps } of [...level, ...behind]) {
          assert.deepEqual(handled, [...numbers(1, 10), ...numbers(101, 115)]);
          assert.deepEqual(gaps, []);
        }
      },
    );
  }

  test(
    "the archive goes on after what the backup held, and keeps what was lost",
    { skip: postgres.skip },
    async (t) => {
      assert.ok(postgres.skip === false);
      const schema = `test_${randomUUID().replaceAll("-", "").slice(0, 12)}`;
      const [url = ""] = postgres.urls;
      const site = await Site.start(t, {
        ...CONFIG,
        storage: { archive: { type: "postgres", url, schema } },
        namespaces: { chat: { ...open, delivery: "exactly-once", storage: "archive", retention: { messages: 4 } } },
      });
      const { server } = site;
      const archived = async (count: number): Promise<void> => {
        const patience = AbortSignal.timeout(30_000);
        while ((await server.metric("todoku_archived_total")) < count) patience.throwIfAborted();
      };
      // The log keeps four: they are archived before they are dropped.
      const publish = async (from: number, to: number): Promise<void> => {
        for (const n of numbers(from, to)) {
          await site.publish(n, n);
          // Counted from the start of the server.
          await archived(n - from + 1);
        }
      };
      await publish(1, 10);
      await site.save();
      await publish(11, 20);
      await site.bringBack();
      await publish(101, 115);
      const { publications } = await server.api<{ publications: { data: number }[] }>("history", {
        channel: CHANNEL,
        limit: -1,
        from: 0,
      });
      assert.deepEqual(
        publications.map(({ data }) => data),
        [...numbers(1, 10), ...numbers(101, 115)],
      );
      const client = new Client({ connectionString: url });
      await client.connect();
      t.after(() => client.end());
      const { rows } = await client.query<{ n: number }>(`select data as n from ${schema}.messages`);
      const kept = rows.map(({ n }) => n).toSorted((a, b) => a - b);
      assert.deepEqual(kept, [...numbers(1, 20), ...numbers(101, 115)], "SQL still finds what was lost");
    },
  );
});
