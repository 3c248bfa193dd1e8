/** What a connection costs that does nothing: authenticated, with one subscription. Memory of the process, garbage collected. */
import path from "node:path";
import { CountingSocket } from "./counting-socket.ts";
import { residentBytes } from "./process-cost.ts";
import { crowd, floor, todoku, type Contender } from "./servers.ts";
import { printTable } from "./table.ts";

const CONNECTIONS = 5000;
/** Connections before the first measurement: what the first ones bring into memory is not theirs alone. */
const WARM_UP = 500;
const FLAGS = ["--expose-gc", "--import", path.join(import.meta.dirname, "..", "tests", "collect-on-signal.ts")];

const ONE_CHANNEL = (): string => "ticker:one";
const OWN_CHANNEL = (i: number): string => `ticker:${i}`;

export async function idle(): Promise<void> {
  const rows = [
    ["floor: bare ws loop", await cost(await floor(FLAGS), ONE_CHANNEL)],
    ["todoku, all on one channel", await cost(await todoku(FLAGS), ONE_CHANNEL)],
    ["todoku, a channel each", await cost(await todoku(FLAGS), OWN_CHANNEL)],
  ] as const;
  console.log(`${CONNECTIONS} connections with one subscription each, resident memory after garbage collection\n`);
  const [[, base]] = rows;
  printTable(
    ["server", "KB per connection", "of the floor"],
    rows.map(([name, bytes]) => [name, (bytes / 1000).toFixed(1), (bytes / base).toFixed(2)]),
  );
}

/** Bytes per connection. */
async function cost(contender: Contender, channelOf: (i: number) => string): Promise<number> {
  await using server = contender;
  const { port, connect } = server;
  const connectMore = (from: number, count: number): Promise<readonly CountingSocket[]> =>
    crowd(count, (i) => CountingSocket.subscribe(port, connect, channelOf(from + i)));
  const first = await connectMore(0, WARM_UP);
  const before = await memoryOf(server);
  const others = await connectMore(WARM_UP, CONNECTIONS);
  const after = await memoryOf(server);
  for (const socket of [...first, ...others]) socket.end();
  return (after - before) / CONNECTIONS;
}

async function memoryOf({ program }: Contender): Promise<number> {
  const collected = program.speaks();
  program.signal("SIGUSR2");
  await collected;
  return residentBytes(program.pid);
}
