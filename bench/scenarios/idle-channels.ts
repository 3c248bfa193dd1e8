/** Channels that somebody is subscribed to and nobody publishes on. */
import { setTimeout as after } from "node:timers/promises";
import { Crowd } from "../../tests/load/crowd.ts";
import { LoadedServer } from "../../tests/load/loaded-server.ts";
import { dose } from "../dose.ts";
import { cpuSeconds, pin, SERVER_CORE } from "../process-cost.ts";
import type { Contender, Measured, Scenario } from "../scenario.ts";

const CLIENTS = dose(1000);
const EACH = 100;
const CHANNELS = CLIENTS * EACH;
/** Longer than the head beacon's interval of 5 s. */
const IDLE_MS = 11_000;
const PATIENCE_MS = 20_000;

const CONTROL = "todoku, at-most-once";

export const idleChannels: Scenario = {
  name: "idle-channels",
  title: "A hundred thousand idle channels",
  about:
    `${CLIENTS.toLocaleString("en")} connections with ${EACH} channels each, that nobody else has. The figure is what a channel with its subscription holds, ` +
    "garbage collected; beside it the share of a core that they cost while nothing happens, and what is left when all have gone.",
  unit: "KB per channel",
  better: "less",
  digits: 2,
  expectedSeconds: 80,
  apart: true,
  contenders: [following(CONTROL, "live"), following("todoku, at-least-once on disk", "kept")],
  controls: [{ title: "of at-most-once", contenders: [CONTROL] }],
};

function following(name: string, namespace: string): Contender {
  return { name, measure: async () => [await measure(namespace)] };
}

async function measure(namespace: string): Promise<Measured> {
  await using server = await LoadedServer.start();
  pin(server.pid, SERVER_CORE);
  const channels = (i: number): readonly string[] => Array.from({ length: EACH }, (_, j) => `${namespace}:${i}-${j}`);
  const options = { port: server.port, connect: () => ({ todoku: { version: 1 } }) };
  await using few = new Crowd({ ...options, channels: () => [`${namespace}:warm`] });
  await few.come(CLIENTS);
  const before = await server.holdings();
  await few.leave();
  await using crowd = new Crowd({ ...options, channels });
  const begun = cpuSeconds(server.pid);
  await crowd.come(CLIENTS);
  const subscribed = cpuSeconds(server.pid) - begun;
  const full = await server.holdings();
  const cpu = cpuSeconds(server.pid);
  await after(IDLE_MS);
  const idle = (cpuSeconds(server.pid) - cpu) / (IDLE_MS / 1000);
  const { endings } = crowd.tally();
  await crowd.leave();
  const until = performance.now() + PATIENCE_MS;
  let left = await server.holdings();
  while (left.memory > before.memory && performance.now() < until) {
    await after(500);
    left = await server.holdings();
  }
  return {
    load: "",
    value: (full.memory - before.memory) / CHANNELS / 1000,
    details: {
      "µs per subscribe": (subscribed * 1e6) / CHANNELS,
      "% of a core while idle": 100 * idle,
      "bytes left per channel": Math.max(0, left.memory - before.memory) / CHANNELS,
    },
    faults: [
      ...(full.channels === CHANNELS ? [] : [`${full.channels} of ${CHANNELS} channels followed`]),
      ...(left.channels === 0 && left.connections === 0 ? [] : [`${left.channels} channels still followed`]),
      ...Object.entries(endings).map(([why, count]) => `${count} × ${why}`),
    ],
  };
}
