/** What a connection costs that does nothing: authenticated, with one subscription. */
import { Audience } from "../../server/src/load/audience.ts";
import { DATA_BYTES } from "../deliveries.ts";
import { residentBytes } from "../process-cost.ts";
import type { Contender, Measured, Scenario } from "../scenario.ts";
import { bunFloor } from "../servers/bun-floor.ts";
import { centrifugo } from "../servers/centrifugo.ts";
import { floor } from "../servers/floor.ts";
import { running, type Running, type Server } from "../servers/server.ts";
import { socketIo } from "../servers/socket-io.ts";
import { todoku } from "../servers/todoku.ts";

/** Connections before the first measurement: what the first ones bring into memory is not theirs alone. */
const WARM_UP = 1000;
const CONNECTIONS = 8000;

const ONE = "all on one channel";
const EACH = "a channel each";

const plain = todoku("at-most-once");
const onBun = todoku("at-most-once", "bun");
/** As it comes, and with what its documentation has for many idle connections. */
const peers = [centrifugo(), centrifugo("off-read-loop", "write-delay=5ms")];
const SERVERS = [plain, onBun, floor, bunFloor, ...peers, socketIo];

export const idleMemory: Scenario = {
  name: "idle-memory",
  title: "Idle connections",
  about:
    `${CONNECTIONS.toLocaleString("en")} connections that are authenticated, have one subscription each and do nothing: resident ` +
    "memory of the server's process after garbage collection, per connection. What the kernel keeps for a socket is not in it.",
  unit: "KB per connection",
  better: "less",
  digits: 1,
  expectedSeconds: 65,
  contenders: SERVERS.map((server) => idle(server)),
  controls: [
    { title: "of the floor", contenders: [floor.name] },
    { title: "of Centrifugo", contenders: peers.map(({ name }) => name) },
  ],
  goals: [ONE, EACH].flatMap((load) => [
    { contender: plain.name, load, bound: 8 },
    { contender: onBun.name, load, bound: 5 },
  ]),
};

function idle(server: Server): Contender {
  return {
    ...server,
    measure: async () => [
      await cost(server, ONE, () => ["c:0"]),
      await cost(server, EACH, (from, count) => Array.from({ length: count }, (_, i) => `c:${from + i}`)),
    ],
  };
}

async function cost(
  server: Server,
  load: string,
  channelsOf: (from: number, count: number) => readonly string[],
): Promise<Measured> {
  await using started = await running(server);
  const warmUp = audienceOf(started, WARM_UP, channelsOf(0, WARM_UP));
  const measured = audienceOf(started, CONNECTIONS, channelsOf(WARM_UP, CONNECTIONS));
  try {
    await warmUp.gather();
    const before = await memoryOf(started);
    await measured.gather();
    const bytes = (await memoryOf(started)) - before;
    const lost = WARM_UP + CONNECTIONS - warmUp.size - measured.size;
    return {
      load,
      value: bytes / CONNECTIONS / 1000,
      faults: lost === 0 ? [] : [`${lost} connections ended (${measured.ends[0] ?? warmUp.ends[0]})`],
    };
  } finally {
    await Promise.all([warmUp.leave(), measured.leave()]);
  }
}

function audienceOf({ port, dialect }: Running, connections: number, channels: readonly string[]): Audience {
  const target = { host: "127.0.0.1", port, tls: false };
  return new Audience({ target, dialect, connections, channels, bytes: DATA_BYTES });
}

async function memoryOf({ process }: Running): Promise<number> {
  process.tell("collect");
  await process.says("collected");
  return residentBytes(process.pid);
}
