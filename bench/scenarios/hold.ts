/** As many connections as it takes: held, churning, with messages, and gone again. */
import { readFileSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";
import { PROCESS_CONNECTIONS } from "../../server/src/advise/cost-model.ts";
import { signToken } from "../../server/src/auth/token.ts";
import type { Tally } from "../../tests/load/crowd.ts";
import { LoadedServer, type Holdings } from "../../tests/load/loaded-server.ts";
import { dose } from "../dose.ts";
import { cpuSeconds, pin, SERVER_CORE } from "../process-cost.ts";
import { RemoteCrowd } from "../remote-crowd.ts";
import type { Contender, Measured, Scenario } from "../scenario.ts";

const SECRET = "a secret of the benchmarks";
const CONNECTIONS = dose(50_000);
const CHANNELS = dose(10_000);
const SECONDS = 10;
/** Of all connections, each second. */
const CHURN = 0.01;
/** Of the deliveries: who goes or comes in that moment misses some. */
const MAY_DIFFER = 0.03;
const PUBLISHES = 200;
/** Of what was to be published in that time. */
const KEPT_UP = 0.95;
/** A prime: at any time the channels of the last messages lie evenly among all, for churn moves readers from the first ones to the later. */
const STRIDE = 7919;
const DATA = "x".repeat(128);
/** Descriptors that a process needs beside its connections. */
const OTHER_DESCRIPTORS = 500;
/** Compiled code and grown tables, of a process: no connection's, and in the way of small doses only. */
const STAYS_BYTES = 2_000_000;
/** The feeds of left channels linger, and the kernel ends connections in its own time. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 500;

const CONTROL = "todoku, presence off";

export const hold: Scenario = {
  name: "hold-50k",
  title: "Fifty thousand connections, churning",
  about:
    `${CONNECTIONS.toLocaleString("en")} authenticated connections with one of ${CHANNELS.toLocaleString("en")} channels each, held by as many ` +
    `processes as that takes: ${PROCESS_CONNECTIONS.toLocaleString("en")} on each but the last, where the limit of descriptors allows it. Then ${SECONDS} s in which one in ` +
    `${1 / CHURN} leaves and another comes each second, and ${PUBLISHES} messages a second are published; then all leave. The figure is resident memory ` +
    "per connection while all are there; what is not given back stands as a fault.",
  unit: "KB per connection",
  better: "less",
  digits: 1,
  expectedSeconds: 150,
  cores: "all servers on one core, their crowds on the other",
  apart: true,
  patienceSeconds: 600,
  contenders: [holding(CONTROL, "live"), holding("todoku, presence, join and leave", "seen")],
  controls: [{ title: "of presence off", contenders: [CONTROL] }],
};

function holding(name: string, namespace: string): Contender {
  return { name, measure: async () => [await measure(namespace)] };
}

async function measure(namespace: string): Promise<Measured> {
  const most = Math.min(PROCESS_CONNECTIONS, descriptors() - OTHER_DESCRIPTORS);
  const count = Math.ceil(CONNECTIONS / most);
  const sizes = Array.from({ length: count }, (_, i) => Math.min(most, CONNECTIONS - i * most));
  const connect = { token: await signToken(SECRET, { user: "bench" }), todoku: { version: 1 } };
  await using gathered = new AsyncDisposableStack();
  const servers: LoadedServer[] = [];
  const crowds: RemoteCrowd[] = [];
  for (let number = 0; number < count; number++) {
    const server = gathered.use(await LoadedServer.start({}, { auth: { jwt: { hmac: SECRET }, insecure: true } }));
    pin(server.pid, SERVER_CORE);
    servers.push(server);
    const orders = { port: server.port, connect, prefix: `${namespace}:`, channels: CHANNELS, number };
    crowds.push(gathered.use(new RemoteCrowd(orders)));
  }
  const [before, resident] = [await held(servers), residentOf(servers)];
  const begun = performance.now();
  const came = await Promise.all(crowds.map((crowd, i) => crowd.come(sizes[i] ?? 0)));
  const seconds = (performance.now() - begun) / 1000;
  const full = await held(servers);
  const bytes = (residentOf(servers) - resident) / CONNECTIONS;

  const cpu = cpuOf(servers);
  const publishing = publishFor(servers, namespace);
  const churned = await Promise.all(crowds.map((crowd, i) => crowd.churn(Math.ceil((sizes[i] ?? 0) * CHURN), SECONDS)));
  const busy = (cpuOf(servers) - cpu) / SECONDS;
  const published = await publishing;

  // The channels are published on evenly, and each server publishes to its own.
  const due = (published * CONNECTIONS) / CHANNELS;
  const tallies = await received(crowds, due);
  const sum = tallies.reduce((total, one) => total + one.received, 0);
  await Promise.all(crowds.map((crowd) => crowd.leave()));
  const left = await emptied(servers, before);
  return {
    load: "",
    value: bytes / 1000,
    details: {
      processes: count,
      "connects/s": CONNECTIONS / seconds,
      "p99 ms to subscribe": Math.max(...came.map(({ p99 }) => p99)),
      "p99 ms in churn": Math.max(...churned.map(({ p99 }) => p99)),
      "cores busy in churn": busy,
      "messages published": published,
      deliveries: sum,
      "% of memory left": (100 * (left.memory - before.memory)) / (full.memory - before.memory),
    },
    behind: published < KEPT_UP * PUBLISHES * SECONDS,
    faults: [
      ...tallies.flatMap(({ endings }) => Object.entries(endings).map(([why, times]) => `${times} × ${why}`)),
      ...tallies.flatMap(({ open }, i) => (open === sizes[i] ? [] : [`${open} of ${sizes[i]} connections held`])),
      ...(Math.abs(sum - due) <= MAY_DIFFER * due ? [] : [`${sum} of ${Math.round(due)} deliveries`]),
      ...faultsOf(count, before, full, left),
    ],
  };
}

function faultsOf(processes: number, before: Holdings, full: Holdings, left: Holdings): readonly string[] {
  const faults: string[] = [];
  if (left.connections > 0 || left.subscriptions > 0 || left.channels > 0)
    faults.push(`still held: ${JSON.stringify(left)}`);
  if (left.descriptors > before.descriptors + 10)
    faults.push(`${left.descriptors - before.descriptors} descriptors not given back`);
  const stays = processes * STAYS_BYTES;
  if (left.memory - before.memory > 0.2 * (full.memory - before.memory) + stays) faults.push("memory not given back");
  return faults;
}

/** Over HTTP, evenly over the channels; resolves with how many there were. */
async function publishFor(servers: readonly LoadedServer[], namespace: string): Promise<number> {
  const begun = performance.now();
  const channelOf = (n: number): string => `${namespace}:${(n * STRIDE) % CHANNELS}`;
  let published = 0;
  while (performance.now() - begun < SECONDS * 1000) {
    const channels = Array.from({ length: PUBLISHES / 10 }, (_, i) => channelOf(published + i));
    await Promise.all(servers.map((server) => server.publish(channels, 1, DATA)));
    published += channels.length;
    await after(Math.max(0, begun + (published * 1000) / PUBLISHES - performance.now()));
  }
  return published;
}

/** What the crowds have received, once it is as much as is due or nothing more comes. */
async function received(crowds: readonly RemoteCrowd[], due: number): Promise<readonly Tally[]> {
  for (let last = -1; ; await after(LOOK_MS)) {
    const tallies = await Promise.all(crowds.map((crowd) => crowd.tally()));
    const now = tallies.reduce((total, one) => total + one.received, 0);
    if (now >= due || now === last) return tallies;
    last = now;
  }
}

async function emptied(servers: readonly LoadedServer[], before: Holdings): Promise<Holdings> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const now = await held(servers);
    const grown = now.memory > before.memory * 1.1;
    if ((now.connections === 0 && now.channels === 0 && !grown) || performance.now() > until) return now;
    await after(500);
  }
}

async function held(servers: readonly LoadedServer[]): Promise<Holdings> {
  const all = await Promise.all(servers.map((server) => server.holdings()));
  const sum = (of: (one: Holdings) => number): number => all.reduce((total, one) => total + of(one), 0);
  return {
    memory: sum(({ memory }) => memory),
    descriptors: sum((one) => one.descriptors),
    connections: sum((one) => one.connections),
    subscriptions: sum(({ subscriptions }) => subscriptions),
    channels: sum(({ channels }) => channels),
  };
}

function residentOf(servers: readonly LoadedServer[]): number {
  return servers.reduce((sum, server) => sum + server.residentBytes(), 0);
}

function cpuOf(servers: readonly LoadedServer[]): number {
  return servers.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}

/** How many files and sockets a process may have open. */
function descriptors(): number {
  const [, most = "1024"] = /Max open files\s+(\d+)/.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return Number(most);
}
