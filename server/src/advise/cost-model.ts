/**
 * What a deployment needs, from what its parts cost:
 *
 *     processor = connections × ping + connects × connect + publishes × publish + frames × frame + deliveries × delivery
 *     memory    = processes × process + connections × connection + followed channels × channel
 *
 * A frame is a message on its way from the broker to a gateway that has a subscriber of its channel. The broker itself is loaded per
 * message and partition, never per channel or client.
 */
import type { Delivery } from "../backbones/contract.ts";

/** What the parts cost on one core of the machine they were measured on. */
export interface Costs {
  /** When, and on what. */
  readonly on: string;
  /** Of a gateway without connections. */
  readonly processBytes: number;
  /** An authenticated connection with one subscription. */
  readonly connectionBytes: number;
  /** A channel that a gateway follows, with a subscription to it. */
  readonly channelBytes: number;
  /** A ping and its pong. */
  readonly pingMicros: number;
  /** Handshake, token, `connect` and one subscribe. */
  readonly connectMicros: number;
  /** One message to one of thousands of connections, in a write of its own: busier channels share writes, and larger ones lie in the processor's caches. */
  readonly deliveryMicros: number;
  /** A publish over HTTP, by what is promised, at a pace that leaves each a turn of its own. */
  readonly publishMicros: Readonly<Record<Delivery, number>>;
  /** Taking one message in from the broker. */
  readonly frameMicros: number;
}

/** What carries the messages between gateways. */
export const CARRIERS = ["embedded", "memory", "redis-pubsub", "redis-sharded", "redis-streams"] as const;
export type Carrier = (typeof CARRIERS)[number];

/**
 * Messages a second that one server of the broker takes, below what was measured with client and server on two cores. Of
 * sharded pub/sub three servers together were measured: that one takes as many as without shards is an assumption.
 */
const PARTITION_MESSAGES: Readonly<Record<Carrier, number>> = {
  embedded: Number.POSITIVE_INFINITY,
  memory: Number.POSITIVE_INFINITY,
  "redis-pubsub": 40_000,
  "redis-sharded": 40_000,
  "redis-streams": 10_000,
};
/**
 * Publishes a second, each with one reader, that the process which owns a local store takes at the least on a core of its own: what
 * `workers-publish` measured on 2026-11-25 per second of the processor time of it and two workers together. Its own share of that was not
 * measured, nor was a delivery that is not here.
 */
const STORE_PUBLISHES: Readonly<Partial<Record<Delivery, number>>> = {
  "at-most-once": 79_000,
  "at-least-once": 64_000,
};
/** Carriers that more than one server can share. */
const SPREADS: readonly Carrier[] = ["redis-sharded", "redis-streams"];
/** Carriers that do not leave their machine. */
export const LOCAL: readonly Carrier[] = ["embedded", "memory"];

/** Of a core: what is left takes bursts, a lost gateway's clients, and garbage collection. */
const USABLE_SHARE = 0.6;
/** Connections of one process, within the 20,000 descriptors that many systems allow. */
export const PROCESS_CONNECTIONS = 15_000;
/** V8's own limit of a heap is some gigabytes; beyond this a collection becomes noticeable. */
const PROCESS_BYTES = 1_500_000_000;
const PING_SECONDS = 25;
/** Around the data of a publication: the channel, the position, the WebSocket's and the network's own. */
const MESSAGE_OVERHEAD_BYTES = 160;
/** Of one machine; two more are kept for a machine that fails when there are several. */
const SPARE_MACHINES = 1;

export interface Workload {
  readonly connections: number;
  readonly channels: number;
  /** On average, over all gateways. */
  readonly subscribersPerChannel: number;
  /** Publishes a second, on all channels together. */
  readonly publishes: number;
  /** Of a message's data, in bytes. */
  readonly bytes: number;
  readonly delivery: Delivery;
  readonly carrier: Carrier;
  /** Connections that end and come again, a second. */
  readonly connects: number;
  /** Of one machine. */
  readonly cores: number;
}

/** What a workload needs. */
export interface Prediction {
  readonly deliveriesPerSecond: number;
  /** To the clients. */
  readonly bytesPerSecond: number;
  /** Cores that are busy all the time, by what they do. */
  readonly processor: {
    readonly pings: number;
    readonly connects: number;
    readonly publishes: number;
    readonly frames: number;
    readonly deliveries: number;
    readonly all: number;
  };
  /** In bytes. */
  readonly memory: {
    readonly processes: number;
    readonly connections: number;
    readonly channels: number;
    readonly all: number;
  };
  readonly processes: number;
  /** What decides on the number of processes. */
  readonly bound: "processor" | "connections" | "memory";
  /** For the gateways, one of them to spare where there are several. */
  readonly machines: number;
  /** Servers of the broker that take messages; 0 without one. Replicas come on top. */
  readonly partitions: number;
  /** What of it cannot be done. */
  readonly problems: readonly string[];
}

/** What `workload` needs on machines like the one that `costs` were measured on. */
export function predict(workload: Workload, costs: Costs): Prediction {
  // More processes take more frames in from the broker, which may ask for more processes: it settles at once or grows slowly.
  let prediction = predictWith(1, workload, costs);
  for (let i = 0; i < 50; i++) {
    const next = predictWith(prediction.processes, workload, costs);
    if (next.processes <= prediction.processes) return next;
    prediction = next;
  }
  return prediction;
}

function predictWith(assumed: number, workload: Workload, costs: Costs): Prediction {
  const { connections, channels, subscribersPerChannel, publishes, bytes, delivery, carrier, connects, cores } =
    workload;
  const deliveriesPerSecond = publishes * subscribersPerChannel;
  // Subscribers are anywhere: a channel is followed by as many gateways as that makes likely.
  const followers = assumed * (1 - (1 - 1 / assumed) ** subscribersPerChannel);
  const cpu = {
    pings: inCores(connections / PING_SECONDS, costs.pingMicros),
    connects: inCores(connects, costs.connectMicros),
    publishes: inCores(publishes, costs.publishMicros[delivery]),
    frames: LOCAL.includes(carrier) && assumed === 1 ? 0 : inCores(publishes * followers, costs.frameMicros),
    deliveries: inCores(deliveriesPerSecond, costs.deliveryMicros),
  };
  const processor = { ...cpu, all: sum(Object.values(cpu)) };
  const variable = {
    connections: connections * costs.connectionBytes,
    // A connection's first subscription is in its own cost, the channel's entry is not.
    channels: channels * followers * costs.channelBytes,
  };
  const needed = {
    processor: Math.ceil(processor.all / USABLE_SHARE),
    connections: Math.ceil(connections / PROCESS_CONNECTIONS),
    memory: Math.ceil(sum(Object.values(variable)) / PROCESS_BYTES),
  };
  const processes = Math.max(1, assumed, ...Object.values(needed));
  const bound =
    (["processor", "connections", "memory"] as const).find((one) => needed[one] >= processes) ?? "processor";
  const memory = { processes: processes * costs.processBytes, ...variable };
  const busy = Math.ceil(processes / cores);
  const partitions = LOCAL.includes(carrier) ? 0 : Math.ceil(publishes / PARTITION_MESSAGES[carrier]);
  return {
    deliveriesPerSecond,
    bytesPerSecond: deliveriesPerSecond * (bytes + MESSAGE_OVERHEAD_BYTES),
    processor,
    memory: { ...memory, all: sum(Object.values(memory)) },
    processes,
    bound,
    machines: busy + (busy > 1 ? SPARE_MACHINES : 0),
    partitions: Math.max(partitions, LOCAL.includes(carrier) ? 0 : 1),
    problems: problemsOf(workload, busy, partitions),
  };
}

/**
 * Publishes a second that the owner of a local store is counted on for, where several processes share it; undefined where there is no such
 * owner, or nothing was measured.
 */
export function storeBound({ carrier, delivery }: Workload, { processes }: Prediction): number | undefined {
  if (!LOCAL.includes(carrier) || processes === 1) return undefined;
  const measured = STORE_PUBLISHES[delivery];
  return measured === undefined ? undefined : measured * USABLE_SHARE;
}

function problemsOf({ carrier, delivery }: Workload, machines: number, partitions: number): readonly string[] {
  const problems: string[] = [];
  if (LOCAL.includes(carrier) && machines > 1)
    problems.push(`${carrier} stays on one machine, and this takes ${machines}: take redis-streams or redis-sharded`);
  if (partitions > 1 && !SPREADS.includes(carrier))
    problems.push(`${carrier} is one server, and this takes ${partitions}: take redis-sharded`);
  if (delivery !== "at-most-once" && ["redis-pubsub", "redis-sharded", "memory"].includes(carrier))
    problems.push(`${carrier} keeps nothing, and cannot promise ${delivery}: take redis-streams or embedded`);
  return problems;
}

function inCores(perSecond: number, micros: number): number {
  return (perSecond * micros) / 1e6;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
