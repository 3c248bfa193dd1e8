/** How many messages a second are on disk before their publishers are answered. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ContenderProcess } from "../contender-process.ts";
import { overWebSocket } from "../durable/over-web-socket.ts";
import { DATA_BYTES, MEASURED, UNDER_WAY } from "../durable/ways.ts";
import { versionOf } from "../package-version.ts";
import type { Contender, Measured, Scenario } from "../scenario.ts";

const PROGRAM = path.join(import.meta.dirname, "..", "durable", "durable-program.ts");
const GOAL = 100_000;

const inProcess: Contender = { name: "todoku, in process", measure: async () => [await stored("todoku")] };
const webSocket: Contender = { name: "todoku, 10 clients", measure: async () => [await overWebSocket()] };
const bare: Contender = {
  name: "lmdb's puts in a bare loop",
  versions: () => ({ lmdb: versionOf("lmdb") }),
  measure: async () => [await stored("lmdb")],
};

export const durablePublish: Scenario = {
  name: "durable-publish",
  title: "Durable publishes",
  about:
    `${MEASURED.toLocaleString("en")} messages of ${DATA_BYTES} bytes to the backbone \`embedded\`, ${UNDER_WAY.toLocaleString("en")} under way at any time, each flushed to the disk before it is answered: ` +
    "by `createPublisher` in its own process, or by clients over WebSockets. The bare loop puts as many in each transaction, flushed as well. " +
    "Everything that was answered is read back and compared; from the clients' server after it was killed.",
  unit: "publishes/s",
  better: "more",
  expectedSeconds: 8,
  contenders: [inProcess, webSocket, bare],
  controls: [{ title: "of the bare loop", contenders: [bare.name] }],
  goals: [inProcess, webSocket].map(({ name }) => ({ contender: name, load: "", bound: GOAL })),
};

interface Outcome {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly faults: readonly string[];
}

async function stored(way: string): Promise<Measured> {
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
  try {
    await using program = ContenderProcess.node(PROGRAM, [way, folder]);
    const { seconds, cpuSeconds, faults } = JSON.parse(await program.says("measured")) as Outcome;
    return {
      load: "",
      value: MEASURED / seconds,
      details: { "CPU µs per publish": (cpuSeconds * 1e6) / MEASURED },
      serverShare: cpuSeconds / seconds,
      faults,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
