import {
  CARRIERS,
  LOCAL,
  predict,
  storeBound,
  type Carrier,
  type Prediction,
  type Workload,
} from "../advise/cost-model.ts";
import { MEASURED_COSTS } from "../advise/measured-costs.ts";
import { DELIVERIES, type Delivery } from "../backbones/contract.ts";
import { nearest } from "../nearest.ts";
import { parseBytes } from "../units.ts";
import { countOf, refuseMore } from "./arguments.ts";
import { EXIT, HELP, JSON_LINES, UsageError, type Arguments, type Command, type Terminal } from "./command.ts";

const DEFAULT_CORES = 4;
/** Clients come and go: a phone's connection lasts minutes. */
const DEFAULT_CHURN = 0.002;

export const advise: Command = {
  name: "advise",
  summary: "Predict what a load needs: processes, machines, memory, servers of the broker.",
  usage: "--connections N --publishes N [--channels N] [--subscribers-per-channel N] [--size SIZE]",
  details:
    "A calculation from measured costs (docs/guide/scale.md says how), for planning: measure your own load before you rely on it. " +
    "Ends with 1 when what was asked for cannot be done.",
  options: {
    connections: { type: "string", value: "N", help: "Connections at once." },
    publishes: { type: "string", value: "N", help: "Publishes a second, on all channels together." },
    channels: { type: "string", value: "N", help: "Channels that somebody is subscribed to. Default: 1." },
    "subscribers-per-channel": {
      type: "string",
      value: "N",
      help: "Subscribers of a channel, on average. Default: each connection has one subscription.",
    },
    size: { type: "string", value: "SIZE", help: "Data of a message, such as 200B or 4KiB. Default: 200B." },
    delivery: { type: "string", value: "PROMISE", help: `${DELIVERIES.join(", ")}. Default: at-most-once.` },
    backbone: {
      type: "string",
      value: "TYPE",
      help: `${CARRIERS.join(", ")}. Default: embedded where one machine will do; else redis-pubsub, or redis-streams where messages are kept.`,
    },
    connects: {
      type: "string",
      value: "N",
      help: "Connections that come (again), a second. Default: 1 in 500 of all.",
    },
    cores: { type: "string", value: "N", help: `Cores of a machine. Default: ${DEFAULT_CORES}.` },
    json: JSON_LINES,
    help: HELP,
  },
  examples: [
    "todoku advise --connections 50000 --publishes 500 --channels 10000 --subscribers-per-channel 5",
    "todoku advise --connections 200000 --publishes 100 --size 1KiB --backbone redis-sharded",
  ],
  run: async (args, terminal) => {
    refuseMore(args, 0);
    const workload = workloadOf(args);
    const prediction = predict(workload, MEASURED_COSTS);
    const notes = notesOf(workload, prediction);
    if (terminal.human) print(workload, prediction, notes, terminal);
    else terminal.out(JSON.stringify({ workload, ...prediction, notes, measured: MEASURED_COSTS.on }));
    return prediction.problems.length === 0 ? EXIT.ok : EXIT.failed;
  },
};

function workloadOf(args: Arguments): Workload {
  const connections = needed(args, "connections");
  const publishes = needed(args, "publishes");
  const channels = countOf(args, "channels") ?? 1;
  const delivery = oneOf<Delivery>(args, "delivery", DELIVERIES) ?? "at-most-once";
  const rest = {
    connections,
    publishes,
    channels,
    delivery,
    subscribersPerChannel: countOf(args, "subscribers-per-channel", 0) ?? connections / channels,
    bytes: sizeOf(args),
    connects: countOf(args, "connects", 0) ?? connections * DEFAULT_CHURN,
    cores: countOf(args, "cores") ?? DEFAULT_CORES,
  };
  const carrier = oneOf<Carrier>(args, "backbone", CARRIERS);
  return { ...rest, carrier: carrier ?? simplest(rest) };
}

/** One process with its own store is the least to run; then what one machine can do; then a broker. */
function simplest(workload: Omit<Workload, "carrier">): Carrier {
  const alone = predict({ ...workload, carrier: "embedded" }, MEASURED_COSTS);
  if (alone.problems.length === 0) return "embedded";
  if (workload.delivery !== "at-most-once") return "redis-streams";
  const shared = predict({ ...workload, carrier: "redis-pubsub" }, MEASURED_COSTS);
  return shared.problems.length === 0 ? "redis-pubsub" : "redis-sharded";
}

function needed(args: Arguments, option: string): number {
  const count = countOf(args, option, 0);
  if (count === undefined) throw new UsageError(`--${option} is missing: a number from 0 on`);
  return count;
}

function sizeOf(args: Arguments): number {
  const text = args.text("size") ?? "200B";
  const bytes = parseBytes(text);
  if (bytes === undefined)
    throw new UsageError(`--size takes a size such as 200B or 4KiB, not ${JSON.stringify(text)}`);
  return bytes;
}

function oneOf<T extends string>(args: Arguments, option: string, known: readonly T[]): T | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const found = known.find((one) => one === text);
  if (found !== undefined) return found;
  const near = nearest(text, known);
  const hint = near === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${near}?`;
  throw new UsageError(`--${option} ${JSON.stringify(text)} is not known${hint}`);
}

/** What the sum leaves out. */
function notesOf(workload: Workload, prediction: Prediction): readonly string[] {
  const notes = [`Constants are there for ${CARRIERS.join(", ")}; not for kafka.`];
  if (!LOCAL.includes(workload.carrier) || prediction.processes === 1) return notes;
  const bound = storeBound(workload, prediction);
  const reach =
    bound === undefined
      ? `how many was not measured for ${workload.delivery}`
      : `count on ${amount(bound)} a second where each has one reader`;
  notes.push(
    `With several processes one more owns the store (${workload.carrier}), and its core bounds publishes: ${reach}. ` +
      "Neither its processor time nor its memory is in the sum.",
  );
  return notes;
}

function print(workload: Workload, prediction: Prediction, notes: readonly string[], { out, error }: Terminal): void {
  const { carrier, cores } = workload;
  const { processor, memory, processes, machines, partitions, bound } = prediction;
  const parts = Object.entries(processor)
    .filter(([what, busy]) => what !== "all" && busy >= 0.005)
    .map(([what, busy]) => `${what} ${busy.toFixed(2)}`);
  const lines: readonly (readonly [string, string])[] = [
    [
      "deliveries",
      `${amount(prediction.deliveriesPerSecond)} a second, ${size(prediction.bytesPerSecond)}/s to the clients`,
    ],
    ["processor", `${processor.all.toFixed(2)} cores busy${parts.length > 0 ? ` (${parts.join(", ")})` : ""}`],
    [
      "memory",
      `${size(memory.all)} (processes ${size(memory.processes)}, connections ${size(memory.connections)}, channels ${size(memory.channels)})`,
    ],
    ["gateways", `${amount(processes)} ${processes === 1 ? "process" : "processes"}, by what ${WHY[bound]}`],
    ["machines", `${machines}, of ${cores} cores each${machines > 1 ? "; one of them is to spare" : ""}`],
    [
      "backbone",
      LOCAL.includes(carrier)
        ? `${carrier}, in the gateway's own machine`
        : `${carrier}, ${partitions} ${partitions === 1 ? "server" : "servers"}, and replicas`,
    ],
  ];
  for (const [title, text] of lines) out(`${title.padEnd(11)}${text}`);
  out(`\nCalculated from costs measured on ${MEASURED_COSTS.on}.`);
  for (const note of notes) out(note);
  for (const problem of prediction.problems) error(problem);
}

const WHY: Readonly<Record<Prediction["bound"], string>> = {
  processor: "the processor can do",
  connections: "one process may hold in connections",
  memory: "one process may hold in memory",
};

function amount(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function size(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  return `${(bytes / 1e3).toFixed(1)} KB`;
}
