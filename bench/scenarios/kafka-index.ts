/** What a gateway's index of Kafka's partitions costs. */
import { indexOf, type Content } from "../brokers/kafka-index.ts";
import { dose } from "../dose.ts";
import { versionOf } from "../package-version.ts";
import type { Contender, Scenario } from "../scenario.ts";

const contender = (content: Content): Contender => {
  const { messages, channels, keys } = content;
  return {
    name: `${messages.toLocaleString("en")} messages with${keys ? "" : "out"} keys, ${channels.toLocaleString("en")} channels`,
    versions: () => ({ "@platformatic/kafka": versionOf("@platformatic/kafka") }),
    measure: () => indexOf(content),
  };
};

export const kafkaIndex: Scenario = {
  name: "kafka-index",
  title: "The index of Kafka's partitions",
  about:
    "How long it takes until a gateway that has just been started knows where in 12 partitions the messages of each channel lie, reading the log or the snapshot of another " +
    "gateway, and what that takes of its heap. Idempotency keys are most of it, and are forgotten after their window.",
  unit: "seconds",
  better: "less",
  digits: 1,
  expectedSeconds: 120,
  apart: true,
  patienceSeconds: 600,
  contenders: [
    contender({ messages: dose(1_000_000), channels: dose(1000), keys: true }),
    contender({ messages: dose(1_000_000), channels: dose(1000), keys: false }),
    contender({ messages: dose(100_000), channels: dose(100_000), keys: false }),
  ],
  controls: [],
};
