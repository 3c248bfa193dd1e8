import assert from "node:assert/strict";
import { test } from "node:test";
import { Admin, deleteRecordsV2, type Connection } from "@platformatic/kafka";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { systemClock, type Clock } from "../../clock.ts";
import type { Backbone, Head } from "../contract.ts";
import { backboneSchema, createBackbone } from "../registry.ts";
import { HastyClock } from "./test-kafka.ts";

const broker = await needBroker("kafka");

test(
  "who starts later knows channels whose messages are all gone, by the snapshot of who has seen them",
  { skip: broker.skip },
  async () => {
    if (broker.skip !== false) return;
    const prefix = `snapshots-${systemClock.uuid()}.`;
    const settings = backboneSchema.parse({ type: "kafka", brokers: [...broker.urls], prefix, partitions: 1 });
    const open = async (clock: Clock): Promise<Backbone> => {
      const backbone = await createBackbone("kafka", settings, clock);
      await backbone.open();
      return backbone;
    };
    const clock = new HastyClock();
    const witness = await open(clock);
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [...broker.urls] });
    try {
      const append = (channel: string): Promise<{ readonly offset: number }> =>
        witness.log?.append(channel, { id: "1", time: Date.now(), data: "1" }, { retention: {} }) ?? assert.fail();
      const { offset: idle } = await append("chat:idle");
      const { offset: last } = await append("chat:busy");
      clock.later = 7_200_000;
      const [connection] = (await admin.connectToBrokers()).values();
      await deleteRecords(connection ?? assert.fail(), `${prefix}chat`, last);

      // Without a snapshot all that is known is where the log begins.
      const deadline = Date.now() + 30_000;
      for (let head: Head | undefined; head?.offset !== idle;) {
        assert.ok(Date.now() < deadline, `the head is ${head?.offset}, and was ${idle}`);
        const later = await open(systemClock);
        [head] = (await later.log?.heads(["chat:idle"])) ?? [];
        const [never] = (await later.log?.heads(["chat:never"])) ?? [];
        if (head?.offset === idle) assert.deepEqual([head.trimmed, never?.offset], [idle, 0]);
        await later.close();
      }
    } finally {
      await Promise.all([witness.close(), admin.close()]);
    }
  },
);

/** As retention does it, sooner. */
async function deleteRecords(connection: Connection, topic: string, before: number): Promise<void> {
  const partitions = [{ partitionIndex: 0, offset: BigInt(before) }];
  await deleteRecordsV2.api.async(connection, [{ name: topic, partitions }], 5000);
}
