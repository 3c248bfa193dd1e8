/** The cost model against a server under load. */
import { setTimeout as after } from "node:timers/promises";
import { predict, type Workload } from "../../server/src/advise/cost-model.ts";
import { MEASURED_COSTS } from "../../server/src/advise/measured-costs.ts";
import { Crowd } from "../../tests/load/crowd.ts";
import { LoadedServer } from "../../tests/load/loaded-server.ts";
import { cpuSeconds, pin } from "../process-cost.ts";
import type { Measured, Scenario } from "../scenario.ts";

const SECONDS = 10;
const CHURN = 20;
const DATA = "x".repeat(198);
/** Publishes are made in so many small steps a second, each on other channels: a delivery is a write of its own. */
const STEPS = 20;

const WORKLOAD: Workload = {
  connections: 4000,
  channels: 100,
  subscribersPerChannel: 40,
  publishes: 400,
  bytes: 200,
  delivery: "at-most-once",
  carrier: "memory",
  connects: CHURN,
  cores: 1,
};

export const prediction: Scenario = {
  name: "prediction",
  title: "The cost model, checked",
  about:
    `${WORKLOAD.connections.toLocaleString("en")} connections on ${WORKLOAD.channels} channels, ${WORKLOAD.publishes} publishes a second over HTTP and so ` +
    `${(WORKLOAD.publishes * WORKLOAD.subscribersPerChannel).toLocaleString("en")} deliveries, ${CHURN} connections a second that end and come again: what \`todoku advise\` ` +
    "says, and what a server needs. The figure is thousandths of a core.",
  unit: "‰ of a core",
  better: "less",
  digits: 0,
  expectedSeconds: 20,
  apart: true,
  contenders: [
    { name: "predicted", measure: async () => [predicted()] },
    { name: "measured", measure: async () => [await measured()] },
  ],
  controls: [{ title: "of the prediction", contenders: ["predicted"] }],
  // A plan that is wrong by half as much again is still a plan.
  goals: [{ contender: "measured", load: "", control: "of the prediction", bound: 1.5 }],
};

function predicted(): Measured {
  const { processor, memory } = predict(WORKLOAD, MEASURED_COSTS);
  return { load: "", value: 1000 * processor.all, details: { MB: memory.all / 1e6 } };
}

async function measured(): Promise<Measured> {
  const { connections, channels, publishes } = WORKLOAD;
  await using server = await LoadedServer.start();
  pin(server.pid, 0);
  const connect = (): object => ({ todoku: { version: 1 } });
  const options = { port: server.port, connect, channels: (i: number) => [`live:${i % channels}`] };
  await using crowd = new Crowd(options);
  await crowd.come(connections);
  await server.holdings();
  const memory = server.residentBytes();
  const begun = cpuSeconds(server.pid);
  const churning = crowd.churn(CHURN, SECONDS);
  const started = performance.now();
  for (let step = 0; step < SECONDS * STEPS; step++) {
    const publishing = Array.from({ length: publishes / STEPS }, (_, i) =>
      server.process.api("publish", { channel: `live:${(step * (publishes / STEPS) + i) % channels}`, data: DATA }),
    );
    await Promise.all(publishing);
    await after(Math.max(0, started + ((step + 1) * 1000) / STEPS - performance.now()));
  }
  await churning;
  const value = (1000 * (cpuSeconds(server.pid) - begun)) / ((performance.now() - started) / 1000);
  const { endings } = crowd.tally();
  return {
    load: "",
    value,
    details: { MB: memory / 1e6 },
    faults: Object.entries(endings).map(([why, count]) => `${count} × ${why}`),
  };
}
