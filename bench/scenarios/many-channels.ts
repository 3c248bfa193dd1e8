/** Ten thousand channels with one subscriber each: notifications, private messages, devices. */
import { deliveriesOf } from "../deliveries.ts";
import type { Scenario } from "../scenario.ts";
import { bunFloor } from "../servers/bun-floor.ts";
import { centrifugo } from "../servers/centrifugo.ts";
import { floor } from "../servers/floor.ts";
import { limit } from "../servers/limit.ts";
import { socketIo } from "../servers/socket-io.ts";
import { todoku } from "../servers/todoku.ts";

const CHANNELS = 10_000;
const RATE = 8000;

const [plain, disk] = [todoku("at-most-once"), todoku("at-least-once on disk")] as const;
const onBun = todoku("at-most-once", "bun");
const peer = centrifugo();

export const manyChannels: Scenario = {
  name: "many-channels",
  title: "Many channels",
  about:
    `${CHANNELS.toLocaleString("en")} channels with one subscriber each, every one on a connection of its own; ` +
    `${RATE.toLocaleString("en")} messages a second with 128 bytes of data, to each channel in turn. Published evenly from within the ` +
    "server; the figure is deliveries per second of the server's processor time.",
  unit: "deliveries per CPU-second",
  better: "more",
  expectedSeconds: 53,
  contenders: [plain, onBun, disk, limit, floor, bunFloor, peer, socketIo].map((server) =>
    deliveriesOf(server, {
      connections: CHANNELS,
      channels: CHANNELS,
      // So long that what runs is compiled, and what was paid for it is over.
      loads: [{ name: "", rate: RATE, warmUpMs: 3000, measuredMs: 2000 }],
    }),
  ),
  controls: [
    { title: "of the limit", contenders: [limit.name] },
    { title: "of the floor", contenders: [floor.name] },
    { title: "of Centrifugo", contenders: [peer.name] },
    { title: "of the floor on Bun", contenders: [bunFloor.name] },
  ],
  goals: [
    { contender: plain.name, load: "", control: "of Centrifugo", bound: 1.5 },
    { contender: onBun.name, load: "", control: "of Centrifugo", bound: 2 },
  ],
};
