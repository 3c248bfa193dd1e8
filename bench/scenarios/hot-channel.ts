/** One channel that a thousand clients are subscribed to: chat rooms of stars, tickers, scores. */
import { deliveriesOf } from "../deliveries.ts";
import type { Contender, Scenario } from "../scenario.ts";
import { bunFloor } from "../servers/bun-floor.ts";
import { centrifugo } from "../servers/centrifugo.ts";
import { floor } from "../servers/floor.ts";
import { limit } from "../servers/limit.ts";
import { naive } from "../servers/naive.ts";
import type { Server } from "../servers/server.ts";
import { socketIo } from "../servers/socket-io.ts";
import { todoku } from "../servers/todoku.ts";

const [plain, history, disk] = [
  todoku("at-most-once"),
  todoku("history in memory"),
  todoku("at-least-once on disk"),
] as const;
const [onBun, diskOnBun] = [todoku("at-most-once", "bun"), todoku("at-least-once on disk", "bun")] as const;
const peers = [centrifugo(), centrifugo("write-delay=5ms"), centrifugo("history")];
/**
 * Messages a second: few enough for one write per delivery; the most that most can do; more than that. At 50 a second a process
 * has compiled what it runs after some seconds only; what comes then finds it compiled.
 */
const LOADS = [
  { rate: 50, warmUpMs: 4000, measuredMs: 2500 },
  { rate: 1000, warmUpMs: 400, measuredMs: 1000 },
  { rate: 4000, warmUpMs: 400, measuredMs: 1000 },
];
/** For servers that cannot keep up with the second load already. */
const LESS = LOADS.slice(0, 2);

export const hotChannel: Scenario = {
  name: "hot-channel",
  title: "A hot channel",
  about:
    "Every message, 128 bytes of data, goes to 1,000 subscribers of one channel. Published evenly from within the server; " +
    "the figure is deliveries per second of the server's processor time. What a delivery costs is compared at 50 messages a second. With " +
    "more of them a server that writes once in each turn of its event loop may fill its core with short turns: where `server` is near 100 %, " +
    "and it keeps up, the figure is hardly more than what was offered, and so are its ratios, those to at-most-once among them.",
  unit: "deliveries per CPU-second",
  better: "more",
  expectedSeconds: 142,
  contenders: [
    ...[plain, onBun, history, disk, diskOnBun, limit, floor, bunFloor, ...peers].map((server) =>
      contender(server, LOADS),
    ),
    ...[socketIo, naive].map((server) => contender(server, LESS)),
  ],
  controls: [
    { title: "of the limit", contenders: [limit.name] },
    { title: "of the floor", contenders: [floor.name] },
    { title: "of Centrifugo", contenders: peers.map(({ name }) => name) },
    { title: "of the floor on Bun", contenders: [bunFloor.name] },
    { title: "of at-most-once", contenders: [plain.name] },
    { title: "of at-most-once on Bun", contenders: [onBun.name], compared: [diskOnBun.name] },
  ],
  goals: [
    { contender: plain.name, load: nameOf(50), control: "of Centrifugo", bound: 1.5 },
    { contender: plain.name, load: nameOf(50), control: "of the limit", bound: 0.7 },
    { contender: onBun.name, load: nameOf(50), control: "of Centrifugo", bound: 2 },
    { contender: onBun.name, load: nameOf(50), control: "of the limit", bound: 0.9 },
    { contender: plain.name, load: nameOf(4000), control: "of Centrifugo", bound: 4 },
    { contender: onBun.name, load: nameOf(4000), control: "of Centrifugo", bound: 4 },
    { contender: plain.name, load: nameOf(4000), control: "of Centrifugo", detail: "p99 ms", bound: 1 },
    ...LOADS.flatMap(({ rate }) => [
      { contender: disk.name, load: nameOf(rate), control: "of at-most-once", bound: 0.9 },
      { contender: diskOnBun.name, load: nameOf(rate), control: "of at-most-once on Bun", bound: 0.9 },
    ]),
  ],
};

function contender(server: Server, loads: typeof LOADS): Contender {
  return deliveriesOf(server, {
    connections: 1000,
    channels: 1,
    loads: loads.map((load) => ({ name: nameOf(load.rate), ...load })),
  });
}

function nameOf(rate: number): string {
  return `${rate.toLocaleString("en")} msg/s`;
}
