/** The cost model against a server under load. */
import { predict, type Workload } from "../../server/src/advise/cost-model.ts";
import { MEASURED_COSTS } from "../../server/src/advise/measured-costs.ts";
import { Crowd } from "../../tests/load/crowd.ts";
import { LoadedServer } from "../../tests/load/loaded-server.ts";
import { dose } from "../dose.ts";
import { HttpPublisher } from "../http-publisher.ts";
import { cpuSeconds, pin, SERVER_CORE } from "../process-cost.ts";
import type { Measured, Scenario } from "../scenario.ts";

const SECONDS = 10;
const CHURN = 20;
const WARM_UP_SECONDS = 2;
/** A load that was not reached by more than this is not the load that was predicted. */
const KEPT_UP = 0.95;
const MAY_DIFFER = 0.02;
/** A plan that is wrong by half as much again is still a plan. */
const [LEAST, MOST] = [0.67, 1.5];
const PREDICTION = "of the prediction";
const MEMORY = "MB, of the prediction";

/** Two as the constants were measured, and one as nothing was: a channel for each, kept on disk, larger messages. */
const LOADS: readonly Workload[] = [
  ...[200, 600].map((publishes) => ({
    connections: dose(4000),
    channels: dose(100),
    subscribersPerChannel: 40,
    publishes,
    bytes: 200,
    delivery: "at-most-once" as const,
    carrier: "memory" as const,
    connects: CHURN,
    cores: 1,
  })),
  {
    connections: dose(10_000),
    channels: dose(10_000),
    subscribersPerChannel: 1,
    publishes: 600,
    bytes: 1024,
    delivery: "at-least-once",
    carrier: "embedded",
    connects: CHURN,
    cores: 1,
  },
];

export const prediction: Scenario = {
  name: "prediction",
  title: "The cost model, checked",
  about:
    "4,000 connections on 100 channels, 40 on each, with 200 bytes of data at-most-once; or 10,000 connections with a channel each, and 1 KB at-least-once on `embedded`. " +
    `Publishes over HTTP, ${CHURN} connections a second that end and come again: what \`todoku advise\` says, and what a server needs. The figure is thousandths of a core. ` +
    "The first is of the shape that the constants are measured with, the last is not.",
  unit: "‰ of a core",
  better: "less",
  digits: 0,
  expectedSeconds: 55,
  apart: true,
  patienceSeconds: 300,
  contenders: [
    { name: "predicted", measure: async () => LOADS.map(predicted) },
    {
      name: "measured",
      measure: async () => {
        const measured: Measured[] = [];
        for (const load of LOADS) measured.push(await measure(load));
        return measured;
      },
    },
  ],
  controls: [{ title: PREDICTION, contenders: ["predicted"] }],
  goals: LOADS.flatMap((load) =>
    [{ control: PREDICTION }, { detail: MEMORY }].flatMap((what) => {
      const goal = { contender: "measured", load: nameOf(load), ...what };
      return [
        { ...goal, bound: LEAST, side: "at least" as const },
        { ...goal, bound: MOST, side: "at most" as const },
      ];
    }),
  ),
};

function nameOf({ publishes, subscribersPerChannel, carrier }: Workload): string {
  return `${publishes} publishes, ${(publishes * subscribersPerChannel).toLocaleString("en")} deliveries/s, ${carrier}`;
}

function predicted(load: Workload): Measured {
  const { processor, memory } = predict(load, MEASURED_COSTS);
  return { load: nameOf(load), value: 1000 * processor.all, details: { MB: memory.all / 1e6 } };
}

async function measure(load: Workload): Promise<Measured> {
  const { connections, channels, publishes, subscribersPerChannel, bytes, delivery } = load;
  const namespace = delivery === "at-most-once" ? "live" : "kept";
  await using server = await LoadedServer.start();
  pin(server.pid, SERVER_CORE);
  const connect = (): object => ({ todoku: { version: 1 } });
  await using crowd = new Crowd({ port: server.port, connect, channels: (i) => [`${namespace}:${i % channels}`] });
  await crowd.come(connections);
  await server.holdings();
  const memory = server.residentBytes();
  using publisher = await HttpPublisher.connect(server.port);
  const data = "x".repeat(bytes - 2);
  const pace = { perSecond: publishes, channelOf: (n: number) => `${namespace}:${n % channels}`, data };
  await publisher.publish({ ...pace, seconds: WARM_UP_SECONDS });
  const window = { own: process.cpuUsage(), server: cpuSeconds(server.pid), received: crowd.tally().received };
  const begun = performance.now();
  const [published] = await Promise.all([
    publisher.publish({ ...pace, seconds: SECONDS }),
    crowd.churn(CHURN, SECONDS),
  ]);
  const seconds = (performance.now() - begun) / 1000;
  const used = cpuSeconds(server.pid) - window.server;
  const own = process.cpuUsage(window.own);
  const { endings, received } = crowd.tally();
  const deliveries = published.count * subscribersPerChannel;
  return {
    load: nameOf(load),
    // Of the seconds that the load is meant for, however long it took.
    value: (1000 * used) / SECONDS,
    details: {
      MB: memory / 1e6,
      [MEMORY]: memory / predict(load, MEASURED_COSTS).memory.all,
      "deliveries/s": (received - window.received) / seconds,
    },
    serverShare: used / seconds,
    generatorShare: (own.user + own.system) / 1e6 / seconds,
    behind: published.keptUp < KEPT_UP,
    faults: [
      ...Object.entries(endings).map(([why, count]) => `${count} × ${why}`),
      // Who goes meanwhile may miss some, and the warm-up's last may come late.
      ...(Math.abs(received - window.received - deliveries) <= MAY_DIFFER * deliveries
        ? []
        : [`${received - window.received} of ${deliveries} deliveries`]),
    ],
  };
}
