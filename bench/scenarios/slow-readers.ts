/** A publisher far faster than its readers. */
import { Crowd } from "../../tests/load/crowd.ts";
import { LoadedServer } from "../../tests/load/loaded-server.ts";
import { dose } from "../dose.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { Measured, Scenario } from "../scenario.ts";

/** The system's own buffers take some 10 MB for each as well. */
const READERS = 50;
const QUEUE_BYTES = 1024 * 1024;
const DATA = "x".repeat(1000);
const MESSAGES = dose(20_000);
const BATCH = dose(1000);

const EAGER = "readers that read on";
const SLOW = [
  ["todoku, at-most-once", "live"],
  ["todoku, at-least-once on disk", "kept"],
] as const;

export const slowReaders: Scenario = {
  name: "slow-readers",
  title: "Readers that stopped, and a publisher that did not",
  about:
    `${READERS} readers of one channel stop reading while ${MESSAGES.toLocaleString("en")} messages of 1 KB are published as fast as the server takes them. ` +
    "The figure is the memory that the server holds for them, garbage collected; their queues may hold 1 MiB each. In the first row they do not stop. Then they read on: with a " +
    "log each gets everything, without it is told how much it has missed.",
  unit: "MB held",
  better: "less",
  digits: 1,
  expectedSeconds: 60,
  apart: true,
  contenders: [
    { name: EAGER, measure: async () => [await measure("live", false)] },
    ...SLOW.map(([name, namespace]) => ({ name, measure: async () => [await measure(namespace, true)] })),
  ],
  controls: [],
  goals: SLOW.map(([contender]) => ({
    contender,
    load: "",
    bound: (READERS * QUEUE_BYTES) / 1e6,
  })),
};

/** With readers that do `stop`, or read all the time: what of the figure is not theirs. */
async function measure(namespace: string, stop: boolean): Promise<Measured> {
  const retained = { messages: MESSAGES + BATCH };
  const open = { subscribe: "any", publish: "any" } as const;
  await using server = await LoadedServer.start(
    { queue_bytes: "1MiB", ping: "10m" },
    {
      backbones: { here: { type: "memory" }, disk: { type: "embedded", path: "data" } },
      namespaces: {
        live: { ...open, backbone: "here" },
        kept: { ...open, backbone: "disk", delivery: "at-least-once", retention: retained },
      },
    },
  );
  pin(server.pid, SERVER_CORE);
  const channel = `${namespace}:flood`;
  const connect = (): object => ({ todoku: { version: 1 } });
  await using crowd = new Crowd({ port: server.port, connect, channels: () => [channel] });
  await crowd.come(READERS);
  const before = await server.holdings();
  const resident = server.residentBytes();
  let residentMost = resident;
  if (stop) crowd.pause();
  const begun = performance.now();
  let mostForOne = 0;
  for (let published = 0; published < MESSAGES; published += BATCH) {
    await server.publish([channel], BATCH, DATA);
    mostForOne = Math.max(mostForOne, await server.process.metric("todoku_queued_bytes_max"));
    residentMost = Math.max(residentMost, server.residentBytes());
  }
  const rate = (MESSAGES * 1000) / (performance.now() - begun);
  const during = await server.holdings();
  crowd.resume();
  await crowd.receives(READERS * MESSAGES);
  await server.publish([channel], 1, DATA);
  await crowd.receives(READERS * (MESSAGES + 1));
  const { received, lost, disordered, endings } = crowd.tally();
  const after = await server.holdings();
  const missing = READERS * (MESSAGES + 1) - received - lost;
  return {
    load: "",
    value: (during.memory - before.memory) / 1e6,
    details: {
      "MB resident, at most": (residentMost - resident) / 1e6,
      "messages/s": rate,
      "KB queued for one, at most": mostForOne / 1000,
      "% told as missed": (100 * lost) / (received + lost),
      "MB left": Math.max(0, after.memory - before.memory) / 1e6,
    },
    faults: [
      ...(missing === 0 ? [] : [`${missing} neither received nor told as missed`]),
      ...(disordered === 0 ? [] : [`${disordered} out of order`]),
      ...Object.entries(endings).map(([why, count]) => `${count} × ${why}`),
    ],
  };
}
