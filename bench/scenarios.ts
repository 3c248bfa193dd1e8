/** All scenarios, in the order in which `all` runs them. */
import type { Scenario } from "./scenario.ts";
import { archive } from "./scenarios/archive.ts";
import { kafkaBroker, redisBroker, redisMemory } from "./scenarios/brokers.ts";
import { durablePublish } from "./scenarios/durable-publish.ts";
import { hold } from "./scenarios/hold.ts";
import { hotChannel } from "./scenarios/hot-channel.ts";
import { httpPublish } from "./scenarios/http-publish.ts";
import { idleChannels } from "./scenarios/idle-channels.ts";
import { idleMemory } from "./scenarios/idle-memory.ts";
import { kafkaIndex } from "./scenarios/kafka-index.ts";
import { manyChannels } from "./scenarios/many-channels.ts";
import { prediction } from "./scenarios/prediction.ts";
import { embeddedQueue, kafkaQueue, memoryQueue, redisQueue } from "./scenarios/queues.ts";
import { resumeSeam } from "./scenarios/resume-seam.ts";
import { resumeStorm } from "./scenarios/resume-storm.ts";
import { sdk } from "./scenarios/sdk.ts";
import { slowReaders } from "./scenarios/slow-readers.ts";
import { workersDeliver, workersPublish } from "./scenarios/workers.ts";

export const SCENARIOS: readonly Scenario[] = [
  hotChannel,
  manyChannels,
  idleMemory,
  durablePublish,
  httpPublish,
  sdk,
  workersDeliver,
  workersPublish,
  redisQueue,
  kafkaQueue,
  embeddedQueue,
  memoryQueue,
  redisBroker,
  kafkaBroker,
  redisMemory,
  kafkaIndex,
  archive,
  resumeSeam,
  hold,
  resumeStorm,
  idleChannels,
  slowReaders,
  prediction,
];
