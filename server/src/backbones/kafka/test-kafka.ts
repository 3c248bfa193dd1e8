/** What the Kafka backbone's tests have in common. */
import { untilKafkaIsWhole } from "../../../../scripts/brokers/kafka.ts";
import { ownServers } from "../../../../scripts/brokers/own-servers.ts";
import { systemClock, type Clock } from "../../clock.ts";
import type { ConformanceHarness } from "../conformance.ts";
import type { Backbone } from "../contract.ts";
import { backboneSchema, createBackbone } from "../registry.ts";

/** What is done now and then is done at once; and hours can pass. */
export class HastyClock implements Clock {
  later = 0;
  soon: Clock["soon"] = systemClock.soon;
  random: Clock["random"] = systemClock.random;
  uuid: Clock["uuid"] = systemClock.uuid;

  now(): number {
    return systemClock.now() + this.later;
  }

  after(ms: number, callback: () => void): () => void {
    return systemClock.after(ms >= 30_000 ? 20 : ms, callback);
  }
}

/** Makes the backbone; `settings` as in a configuration. */
export function kafkaBackbone(
  brokers: readonly string[],
  settings: object = {},
  clock: Clock = systemClock,
): Promise<Backbone> {
  // One machine has one copy, and few partitions are enough for a test.
  const all = { type: "kafka", brokers, partitions: 3, ...settings };
  return createBackbone("kafka", backboneSchema.parse(all), clock);
}

/** A harness over brokers that are restarted in the middle. */
export async function kafkaHarness(recipe: string): Promise<ConformanceHarness> {
  const kafka = await ownServers(recipe);
  const opened: Backbone[] = [];
  return {
    open: async () => {
      const backbone = await kafkaBackbone(kafka.urls);
      await backbone.open();
      opened.push(backbone);
      return backbone;
    },
    restart: async () => {
      await Promise.all(kafka.servers.map((server) => server.kill()));
      await Promise.all(kafka.servers.map((server) => server.start()));
      await untilKafkaIsWhole(kafka.urls);
    },
    close: async () => {
      await Promise.all(opened.map((backbone) => backbone.close()));
      await kafka.end();
    },
  };
}
