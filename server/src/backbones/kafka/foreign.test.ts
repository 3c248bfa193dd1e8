import assert from "node:assert/strict";
import { test } from "node:test";
import { Todoku, type Message } from "@todoku/client";
import { kafkaTool, kafkaToolOn } from "../../../../scripts/brokers/kafka.ts";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { systemClock } from "../../clock.ts";
import { parseConfig } from "../../config-file.ts";
import { startServer } from "../../server.ts";

const broker = await needBroker("kafka");

test(
  "Kafka's console producer reaches the subscribers of a gateway, and its console consumer reads what they publish",
  { skip: broker.skip },
  async () => {
    if (broker.skip !== false) return;
    const prefix = `foreign-${systemClock.uuid()}.`;
    const topic = `${prefix}orders`;
    const brokers = [...broker.urls];
    const at = ["--bootstrap-server", brokers.join(",")];
    const server = await startServer(
      parseConfig({
        http: { port: 0 },
        log: { level: "silent" },
        auth: { insecure: true },
        backbones: { events: { type: "kafka", brokers, prefix, partitions: 4 } },
        namespaces: {
          orders: { backbone: "events", delivery: "exactly-once", subscribe: "any", publish: "any", history: "any" },
        },
      }),
    );
    const client = new Todoku(server.url);
    try {
      const received: Message[] = [];
      const last = Promise.withResolvers<void>();
      const subscription = client.subscribe("orders:7", (message) => {
        received.push(message);
        if (message.data === "end") last.resolve();
      });
      await subscription.ready;
      // headers, key, value
      const lines = [
        'todoku-tags:{"shop":"3"}|orders:7|{"total":12}',
        "a:b|orders:7|{not JSON",
        "todoku-key:k|orders:7|1",
        "todoku-key:k|orders:7|1",
        "todoku-key:k|orders:8|1",
        "content-type:text/plain|orders:7|as it is",
        "content-type:application/octet-stream|orders:7|bytes",
        'a:b|orders:7|"end"',
      ];
      await kafkaToolOn(
        `${lines.join("\n")}\n`,
        "org.apache.kafka.tools.ConsoleProducer",
        ...at,
        "--topic",
        topic,
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "parse.headers=true",
        "--reader-property",
        "key.separator=|",
        "--reader-property",
        "headers.delimiter=|",
      );
      await last.promise;
      assert.deepEqual(
        received.map(({ data }) => data),
        [{ total: 12 }, 1, "as it is", Buffer.from("bytes").toString("base64"), "end"],
      );
      assert.deepEqual(received[0]?.tags, { shop: "3" });
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      assert.match(metrics, /^todoku_malformed_total\{namespace="orders"\} 1$/m);

      await client.publish("orders:9", { paid: true }, { key: "paid-9" });
      await client.publish("orders:9", { paid: true }, { key: "paid-9" });
      const read = await kafkaTool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        ...at,
        "--topic",
        topic,
        "--from-beginning",
        "--max-messages",
        "10",
        "--timeout-ms",
        "30000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.headers=true",
      );
      const published = read.split("\n").filter((line) => line.includes("orders:9"));
      // Both are there, with the same key: the reader's rule drops the second.
      assert.ok(published.length > 0);
      for (const line of published) assert.match(line, /todoku-key:paid-9.*\torders:9\t\{"paid":true\}$/);
    } finally {
      await client.close();
      await server.close();
    }
  },
);
