/** The whole way: clients resume, and the API reads history, from what only PostgreSQL still has. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { Todoku, type Message } from "@todoku/client";
import { needBroker } from "../../../scripts/brokers/need.ts";
import { parseConfig } from "../config-file.ts";
import { startServer } from "../server.ts";

const broker = await needBroker("postgres");
const PATIENCE = AbortSignal.timeout(60_000);

describe("a namespace with a storage", { skip: broker.skip }, () => {
  test("a client that was away longer than the log remembers gets everything, once and in order", async (t) => {
    assert.ok(broker.skip === false);
    const schema = `test_${randomUUID().replaceAll("-", "").slice(0, 12)}`;
    const server = await startServer(
      parseConfig({
        http: { port: 0 },
        log: { level: "silent" },
        auth: { insecure: true },
        backbones: { here: { type: "memory" } },
        storage: { archive: { type: "postgres", url: broker.urls[0] ?? "", schema } },
        namespaces: {
          chat: { backbone: "here", retention: { messages: 3 }, storage: "archive", subscribe: "any", history: "any" },
        },
      }),
    );
    t.after(() => server.close());
    const api = async (method: string, body: object): Promise<Record<string, unknown>> => {
      const response = await fetch(`${server.url}/api/${method}`, { method: "POST", body: JSON.stringify(body) });
      return ((await response.json()) as { result: Record<string, unknown> }).result;
    };
    const archived = async (): Promise<number> => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/^todoku_archived_total\{namespace="chat"\} (\d+)/m.exec(text)?.[1] ?? 0);
    };
    const first = await api("publish", { channel: "chat:1", data: 1 });
    for (let i = 2; i <= 30; i++) {
      await api("publish", { channel: "chat:1", data: i });
      while ((await archived()) < i) PATIENCE.throwIfAborted();
    }
    const wanted = Array.from({ length: 30 }, (_, i) => i + 1);
    const history = await api("history", { channel: "chat:1", limit: -1, from: 0 });
    assert.deepEqual(
      (history["publications"] as { data: number }[]).map(({ data }) => data),
      wanted,
    );

    const client = new Todoku(server.url);
    t.after(() => client.close());
    const got: unknown[] = [];
    const gaps: unknown[] = [];
    const { promise: all, resolve } = Promise.withResolvers<void>();
    const handler = (message: Message): void => {
      got.push(message.data);
      if (got.length === 30) resolve();
    };
    const subscription = client.subscribe("chat:1", handler, { start: { epoch: String(first["epoch"]), offset: 0 } });
    subscription.on("gap", (gap) => gaps.push(gap));
    PATIENCE.addEventListener("abort", () => resolve());
    await all;
    assert.deepEqual(got, wanted);
    assert.deepEqual(gaps, []);
  });
});
