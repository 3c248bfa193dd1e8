/**
 * `npm run bench -- costs [--write]`: measures the constants of the cost model (`server/src/advise/cost-model.ts`), on one server
 * with a crowd of this process; with `--write` they replace those in `server/src/advise/measured-costs.ts`.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import type { Costs } from "../server/src/advise/cost-model.ts";
import { decodeFrame, encodeFrame } from "../server/src/backbones/frame-text.ts";
import { signToken } from "../server/src/auth/token.ts";
import { Crowd } from "../tests/load/crowd.ts";
import { LoadedServer } from "../tests/load/loaded-server.ts";
import { HttpPublisher } from "./http-publisher.ts";
import { machine } from "./machine.ts";
import { cpuSeconds, GENERATOR_CORE, pin, SERVER_CORE } from "./process-cost.ts";

const SECRET = "a secret of the benchmarks";
const CONNECTIONS = 3000;
/** Of the deliveries: as many connections as a busy process has, few of them on one channel. */
const [CHANNELS, SUBSCRIBERS] = [100, 40];
/** Publishes a second, and for how long. */
const [PACE, SECONDS] = [300, 6];
const DATA = "x".repeat(100);
const FILE = path.join(import.meta.dirname, "..", "server", "src", "advise", "measured-costs.ts");

export async function costs(write: boolean): Promise<void> {
  pin(process.pid, GENERATOR_CORE);
  const measured = await measureCosts();
  console.log(measured);
  if (!write) return;
  const text = `/** Written by \`npm run bench -- costs --write\`: measured on one machine, so that others can be compared with it. */
import type { Costs } from "./cost-model.ts";

export const MEASURED_COSTS: Costs = ${JSON.stringify(measured, undefined, 2)};
`;
  writeFileSync(FILE, text);
  execFileSync("oxfmt", [FILE]);
}

export async function measureCosts(): Promise<Costs> {
  const token = await signToken(SECRET, { user: "bench" });
  const crowdOf = (server: LoadedServer, channels: (i: number) => readonly string[]): Crowd =>
    new Crowd({ port: server.port, connect: () => ({ token, todoku: { version: 1 } }), channels });
  const ofOneChannel = await connectionCosts((server) => crowdOf(server, () => ["live:one"]));
  const ofOwnChannel = await connectionCosts((server) => crowdOf(server, (i) => [`live:${i}`]));
  const pinged = await pingMicros((server) => crowdOf(server, () => ["live:one"]));
  const delivered = await deliveryMicros((server) => crowdOf(server, (i) => [`live:${i % CHANNELS}`]));
  const { cores, processor } = machine();
  const round = (value: number): number => Number(value.toPrecision(2));
  return {
    on: `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cores} × ${processor}`,
    processBytes: round(ofOneChannel.processBytes),
    connectionBytes: round(ofOneChannel.bytes),
    channelBytes: round(Math.max(0, ofOwnChannel.bytes - ofOneChannel.bytes)),
    pingMicros: round(pinged),
    connectMicros: round(ofOneChannel.micros),
    deliveryMicros: round(delivered),
    publishMicros: {
      "at-most-once": round(await publishMicros("live:none")),
      "at-least-once": round(await publishMicros("kept:none")),
      "exactly-once": round(await publishMicros("kept:none", true)),
    },
    frameMicros: round(frameMicros()),
  };
}

type Gather = (server: LoadedServer) => Crowd;

async function start(client: Parameters<typeof LoadedServer.start>[0] = {}): Promise<LoadedServer> {
  const server = await LoadedServer.start(
    { ping: "10m", ...client },
    { auth: { jwt: { hmac: SECRET }, insecure: true } },
  );
  pin(server.pid, SERVER_CORE);
  return server;
}

async function connectionCosts(
  gather: Gather,
): Promise<{ readonly processBytes: number; readonly bytes: number; readonly micros: number }> {
  await using server = await start();
  const processBytes = await settled(server);
  await using first = gather(server);
  await first.come(500);
  const before = await settled(server);
  await using crowd = gather(server);
  const cpu = cpuSeconds(server.pid);
  await crowd.come(CONNECTIONS);
  const micros = ((cpuSeconds(server.pid) - cpu) * 1e6) / CONNECTIONS;
  return { processBytes, bytes: ((await settled(server)) - before) / CONNECTIONS, micros };
}

/** Resident bytes when what is not in use was given back. */
async function settled(server: LoadedServer): Promise<number> {
  await server.holdings();
  return server.residentBytes();
}

async function pingMicros(gather: Gather): Promise<number> {
  const [seconds, clients] = [5, 2000];
  await using server = await start({ ping: "1s", pong: "900ms" });
  await using crowd = gather(server);
  await crowd.come(clients);
  const cpu = cpuSeconds(server.pid);
  // What is measured is time that passes with nothing but pings.
  await after(seconds * 1000);
  // The shortest round of a heartbeat is two seconds: see TICK_MS in gateway/heartbeat.ts.
  return ((cpuSeconds(server.pid) - cpu) * 1e6) / ((seconds * clients) / 2);
}

/**
 * In the middle of other work, as in the field: to a few of thousands of connections, paced. In a tight loop to the same thousand
 * everything lies in the processor's caches, and a delivery costs a quarter less.
 */
async function deliveryMicros(gather: Gather): Promise<number> {
  await using server = await start();
  await using crowd = gather(server);
  await crowd.come(CHANNELS * SUBSCRIBERS);
  using publisher = await HttpPublisher.connect(server.port);
  const cost = async (prefix: string, seconds: number): Promise<number> => {
    const cpu = cpuSeconds(server.pid);
    const channelOf = (n: number): string => `live:${prefix}${n % CHANNELS}`;
    await publisher.publish({ perSecond: PACE, seconds, channelOf, data: DATA });
    return ((cpuSeconds(server.pid) - cpu) * 1e6) / (PACE * seconds);
  };
  await cost("", 2);
  const before = crowd.tally().received;
  const [unheard, heard] = [await cost("nobody", SECONDS), await cost("", SECONDS)];
  const due = before + PACE * SECONDS * SUBSCRIBERS;
  await crowd.receives(due);
  const { received } = crowd.tally();
  if (received !== due) throw new Error(`${received} of ${due} deliveries have arrived: nothing was measured`);
  return (heard - unheard) / SUBSCRIBERS;
}

/** Over HTTP, a request each, paced: what comes in one turn of the event loop costs less. */
async function publishMicros(channel: string, keyed = false): Promise<number> {
  await using server = await start();
  using publisher = await HttpPublisher.connect(server.port);
  const pace = { channelOf: () => channel, ...(keyed && { keyOf: (n: number) => `k${n}` }), data: DATA };
  await publisher.publish({ ...pace, perSecond: 1000, seconds: 2 });
  const cpu = cpuSeconds(server.pid);
  await publisher.publish({ ...pace, perSecond: PACE, seconds: SECONDS });
  return ((cpuSeconds(server.pid) - cpu) * 1e6) / (PACE * SECONDS);
}

/** Taking in a message from a broker: its frame's text is decoded. What the client library needs for it is about as much again. */
function frameMicros(): number {
  const count = 100_000;
  const message = { id: "0123456789abcdef-1", time: Date.now(), data: JSON.stringify(DATA) };
  const text = encodeFrame({ kind: "message", message, position: { epoch: "abcdefgh", offset: 1 }, prev: 0 });
  for (let i = 0; i < count; i++) decodeFrame(text);
  const { user, system } = process.cpuUsage();
  for (let i = 0; i < count; i++) decodeFrame(text);
  const used = process.cpuUsage({ user, system });
  return (2 * (used.user + used.system)) / count;
}
