/** All clients of a server lose their connections, miss messages, and come back at the same moment. */
import { setTimeout as after } from "node:timers/promises";
import { Crowd } from "../../tests/load/crowd.ts";
import { LoadedServer } from "../../tests/load/loaded-server.ts";
import { cpuSeconds, pin } from "../process-cost.ts";
import type { Contender, Measured, Scenario } from "../scenario.ts";

const CLIENTS = 10_000;
const MISSED = 100;
const DATA = "x".repeat(128);
const STORMS = 2;
/** The server gives memory back once it has been calm for a while: see `MemoryReturn`. */
const CALM_MS = 15_000;

export const resumeStorm: Scenario = {
  name: "resume-storm",
  title: "Ten thousand clients come back at once",
  about:
    `${CLIENTS.toLocaleString("en")} clients are cut off, miss ${MISSED} messages of 128 bytes each (at-least-once on \`embedded\`), and all come back at ` +
    "the same moment. The figure is the time from that moment until a client has everything it missed, of the slowest in a hundred. Memory is " +
    "the process's own, before and some seconds after, with all of them connected.",
  unit: "s until caught up, p99",
  better: "less",
  digits: 2,
  expectedSeconds: 150,
  apart: true,
  patienceSeconds: 600,
  contenders: [1, 1000, CLIENTS].map((channels) => storm(channels)),
  controls: [],
  goals: [1, 1000, CLIENTS].map((channels) => ({ contender: nameOf(channels), load: "", bound: 5 })),
};

function nameOf(channels: number): string {
  return channels === 1 ? "todoku, one channel" : `todoku, ${channels.toLocaleString("en")} channels`;
}

function storm(channels: number): Contender {
  return { name: nameOf(channels), measure: async () => [await measure(channels)] };
}

async function measure(channels: number): Promise<Measured> {
  await using server = await LoadedServer.start();
  pin(server.pid, 0);
  const all = Array.from({ length: channels }, (_, i) => `kept:${i}`);
  const channelsOf = (i: number): readonly string[] => [`kept:${i % channels}`];
  await using crowd = new Crowd({
    port: server.port,
    connect: () => ({ todoku: { version: 1 } }),
    channels: channelsOf,
  });
  await crowd.come(CLIENTS);
  await server.holdings();
  const before = server.residentBytes();
  const times: { readonly p50: number; readonly p99: number }[] = [];
  let cpu = 0;
  for (let i = 0; i < STORMS; i++) {
    await crowd.drop();
    await server.publish(all, MISSED, DATA);
    const begun = cpuSeconds(server.pid);
    times.push(await crowd.return(MISSED));
    cpu += cpuSeconds(server.pid) - begun;
  }
  const peak = server.residentBytes();
  await after(CALM_MS);
  await server.holdings();
  const then = server.residentBytes();
  const { received, disordered, lost, open, endings } = crowd.tally();
  const expected = STORMS * CLIENTS * MISSED;
  return {
    load: "",
    value: Math.max(...times.map(({ p99 }) => p99)) / 1000,
    details: {
      "p50 s": Math.max(...times.map(({ p50 }) => p50)) / 1000,
      "server CPU-s": cpu / STORMS,
      "MB before": before / 1e6,
      "MB at the peak": peak / 1e6,
      "MB after": then / 1e6,
    },
    faults: [
      ...(received === expected ? [] : [`${received} of ${expected} received`]),
      ...(disordered + lost === 0 ? [] : [`${disordered} out of order, ${lost} lost`]),
      ...(open === CLIENTS ? [] : [`${open} connected`]),
      ...Object.entries(endings).map(([why, count]) => `${count} × ${why}`),
    ],
  };
}
