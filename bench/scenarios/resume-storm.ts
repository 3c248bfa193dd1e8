/** All clients of a server lose their connections, miss messages, and come back at the same moment. */
import { setTimeout as after } from "node:timers/promises";
import { Crowd, type Times } from "../../tests/load/crowd.ts";
import { LoadedServer } from "../../tests/load/loaded-server.ts";
import { dose } from "../dose.ts";
import { cpuSeconds, pin, SERVER_CORE } from "../process-cost.ts";
import type { Measured, Scenario } from "../scenario.ts";

const CLIENTS = dose(10_000);
const MISSED = 100;
const DATA = "x".repeat(128);
/** The server gives memory back once it has been calm for a while: see `MemoryReturn`. */
const CALM_MS = 15_000;
const LOOK_MS = 50;

const CONTROL = "nothing missed";
const OF_BEFORE = "MB after, of before";
const CHANNELS = [1, CLIENTS] as const;

export const resumeStorm: Scenario = {
  name: "resume-storm",
  title: "Ten thousand clients come back at once",
  about:
    `${CLIENTS.toLocaleString("en")} clients are cut off, miss ${MISSED} messages of 128 bytes each (at-least-once on \`embedded\`), and all come back at ` +
    "the same moment; in the first row they have missed nothing. The figure is the time from that moment until a client has everything it missed, of the " +
    "slowest in a hundred. Memory is the process's own: before they are cut off, at the peak of their return, and some seconds after with all of them connected. " +
    "What the first row keeps, it keeps for the handshakes alone, made all at once: see docs/guide/scale.md.",
  unit: "s until caught up, p99",
  better: "less",
  digits: 2,
  expectedSeconds: 130,
  apart: true,
  patienceSeconds: 400,
  contenders: [
    { name: CONTROL, measure: async () => [await measure(1, 0)] },
    ...CHANNELS.map((channels) => ({
      name: nameOf(channels),
      measure: async () => [await measure(channels, MISSED)],
    })),
  ],
  controls: [{ title: `of ${CONTROL}`, contenders: [CONTROL] }],
  goals: CHANNELS.flatMap((channels) => [
    { contender: nameOf(channels), load: "", bound: 5 },
    { contender: nameOf(channels), load: "", detail: OF_BEFORE, bound: 1.2 },
  ]),
};

function nameOf(channels: number): string {
  return channels === 1 ? "todoku, one channel" : `todoku, ${channels.toLocaleString("en")} channels`;
}

async function measure(channels: number, missed: number): Promise<Measured> {
  await using server = await LoadedServer.start();
  pin(server.pid, SERVER_CORE);
  const all = Array.from({ length: channels }, (_, i) => `kept:${i}`);
  await using crowd = new Crowd({
    port: server.port,
    connect: () => ({ todoku: { version: 1 } }),
    channels: (i) => [`kept:${i % channels}`],
  });
  await crowd.come(CLIENTS);
  await server.holdings();
  const before = server.residentBytes();
  await crowd.drop();
  await server.publish(all, missed, DATA);
  const begun = { at: performance.now(), server: cpuSeconds(server.pid), own: process.cpuUsage() };
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, server.residentBytes())), LOOK_MS);
  let times: Times;
  try {
    times = await crowd.return(missed);
  } finally {
    clearInterval(watch);
  }
  const seconds = (performance.now() - begun.at) / 1000;
  const used = cpuSeconds(server.pid) - begun.server;
  const { user, system } = process.cpuUsage(begun.own);
  await after(CALM_MS);
  await server.holdings();
  const then = server.residentBytes();
  const { received, disordered, lost, open, endings } = crowd.tally();
  const expected = CLIENTS * missed;
  return {
    load: "",
    value: times.p99 / 1000,
    details: {
      "p50 s": times.p50 / 1000,
      "server CPU-s": used,
      "MB before": before / 1e6,
      "MB at the peak": peak / 1e6,
      "MB after": then / 1e6,
      [OF_BEFORE]: then / before,
    },
    serverShare: used / seconds,
    generatorShare: (user + system) / 1e6 / seconds,
    faults: [
      ...(received === expected ? [] : [`${received} of ${expected} received`]),
      ...(disordered + lost === 0 ? [] : [`${disordered} out of order, ${lost} lost`]),
      ...(open === CLIENTS ? [] : [`${open} connected`]),
      ...Object.entries(endings).map(([why, count]) => `${count} × ${why}`),
    ],
  };
}
