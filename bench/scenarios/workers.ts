/** Two processes instead of one: what the way between them costs. */
import { deliveriesOf } from "../deliveries.ts";
import { publishesOf } from "../publishes.ts";
import type { Contender, Control, Goal, Scenario } from "../scenario.ts";
import type { Keeping } from "../servers/todoku.ts";
import { connect, nameOf, workers } from "../servers/workers.ts";

const KEEPINGS: readonly Keeping[] = ["at-most-once", "history in memory", "at-least-once on disk"];
/** Two processes can do 1.7 times what one can where a delivery costs no more than 2 / 1.7 of the processor time. */
const GOAL = 0.85;

const contenders = KEEPINGS.flatMap((keeping) => [1, 2].map((count) => workers(count, keeping)));

export const workersDeliver: Scenario = {
  name: "workers",
  title: "Several processes on one port: delivering",
  about:
    "As in the hot channel, published by one client; `--workers 1` and `--workers 2`, the latter with the process that owns the store. " +
    "The figure is deliveries per second of the processor time of all processes: its ratio, doubled, is what two cores can do of what one can. " +
    "At 1,000 messages a second one process may fill its core with short turns, whatever a delivery costs: where `server` is near 100 % in both rows, " +
    "that they are alike says that they keep up, and what a delivery costs is compared at 50.",
  unit: "deliveries per CPU-second",
  better: "more",
  expectedSeconds: 110,
  cores: "all processes of a server on one core, the generator on the other",
  apart: true,
  contenders: contenders.map((server) =>
    deliveriesOf(server, {
      connections: 1000,
      channels: 1,
      // Twice as many processes have twice as much to compile.
      loads: [50, 1000].map((rate) => ({
        name: `${rate.toLocaleString("en")} msg/s`,
        rate,
        warmUpMs: 4000,
        measuredMs: 3000,
      })),
    }),
  ),
  controls: controls(),
  goals: goals(["50 msg/s", "1,000 msg/s"]),
};

export const workersPublish: Scenario = {
  name: "workers-publish",
  title: "Several processes on one port: publishing",
  about:
    "64 clients publish 128 bytes to a channel each that they are subscribed to themselves, with 16 publishes of each under way. " +
    "The figure is publishes, each delivered once, per second of the processor time of all processes: its ratio, doubled, is what two cores can do of what one can.",
  unit: "publishes per CPU-second",
  better: "more",
  expectedSeconds: 60,
  cores: "all processes of a server on one core, the generator on the other",
  apart: true,
  contenders: contenders.map((server): Contender =>
    publishesOf(server, { connections: 64, connect, underWay: 16, warmUpMs: 4000, measuredMs: 3000 }),
  ),
  controls: controls(),
  goals: goals([""]),
};

function controls(): readonly Control[] {
  return KEEPINGS.map((keeping) => ({
    title: `of one, ${keeping}`,
    contenders: [nameOf(1, keeping)],
    compared: [nameOf(2, keeping)],
  }));
}

function goals(loads: readonly string[]): readonly Goal[] {
  return KEEPINGS.flatMap((keeping) =>
    loads.map((load) => ({
      contender: nameOf(2, keeping),
      load,
      control: `of one, ${keeping}`,
      bound: GOAL,
    })),
  );
}
