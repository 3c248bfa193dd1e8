/** One channel that a thousand clients are subscribed to: chat rooms of stars, tickers, scores. */
import { deliveriesOf } from "../deliveries.ts";
import type { Scenario } from "../scenario.ts";
import { floor } from "../servers/floor.ts";
import { naive } from "../servers/naive.ts";
import { todoku } from "../servers/todoku.ts";

const SERVERS = [todoku("at-most-once"), todoku("history in memory"), todoku("at-least-once on disk"), floor, naive];

export const hotChannel: Scenario = {
  name: "hot-channel",
  title: "A hot channel",
  about:
    "Every message, 128 bytes of data, goes to 1,000 subscribers of one channel. Published evenly from within the server; " +
    "the figure is deliveries per second of the server's processor time.",
  unit: "deliveries per CPU-second",
  better: "more",
  expectedSeconds: 50,
  contenders: SERVERS.map((server) =>
    deliveriesOf(server, {
      connections: 1000,
      channels: 1,
      loads: [50, 1000, 4000].map((rate) => ({ name: `${rate.toLocaleString("en")} msg/s`, rate })),
      warmUpMs: 500,
      measuredMs: 1500,
    }),
  ),
  controls: [{ title: "of the floor", contenders: [floor.name] }],
};
