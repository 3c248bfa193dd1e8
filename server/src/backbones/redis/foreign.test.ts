import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { Todoku, type Message } from "@todoku/client";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { systemClock } from "../../clock.ts";
import { parseConfig } from "../../config-file.ts";
import { startServer } from "../../server.ts";

const run = promisify(execFile);
const broker = await needBroker("redis");

test(
  "redis-cli PUBLISH reaches the subscribers of a gateway; what is no JSON is counted and goes no further",
  { skip: broker.skip },
  async () => {
    if (broker.skip !== false) return;
    const [url = ""] = broker.urls;
    const prefix = `foreign-${systemClock.uuid()}:`;
    const publish = (text: string): Promise<unknown> =>
      run("redis-cli", ["-p", new URL(url).port, "publish", `${prefix}chat:42`, text]);
    const server = await startServer(
      parseConfig({
        http: { port: 0 },
        log: { level: "silent" },
        auth: { insecure: true },
        backbones: { shared: { type: "redis-pubsub", url, prefix } },
        namespaces: { chat: { backbone: "shared", subscribe: "any" } },
      }),
    );
    const client = new Todoku(server.url);
    try {
      const received: Message[] = [];
      const last = Promise.withResolvers<void>();
      const subscription = client.subscribe("chat:42", (message) => {
        received.push(message);
        if (received.length === 2) last.resolve();
      });
      await subscription.ready;
      await publish('{"text":\n"hi"}');
      await publish("{not JSON");
      await publish('"there"');
      await last.promise;
      assert.deepEqual(
        received.map(({ data }) => data),
        [{ text: "hi" }, "there"],
      );
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      assert.match(metrics, /^todoku_malformed_total\{namespace="chat"\} 1$/m);
    } finally {
      await client.close();
      await server.close();
    }
  },
);
