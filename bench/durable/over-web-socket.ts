/** Publishes that come from clients: answered when they are on disk. The server is then killed, and what it had answered is read back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePort } from "../../tests/server-process.ts";
import { ContenderProcess } from "../contender-process.ts";
import { cpuSeconds } from "../process-cost.ts";
import { Publisher } from "../publishes.ts";
import type { Measured } from "../scenario.ts";
import { tokenOf } from "../servers/token.ts";
import { faultsIn, MEASURED, storeIn, textOf, UNDER_WAY, WARM_UP } from "./ways.ts";

const CONNECTIONS = 10;
const PROGRAM = path.join(import.meta.dirname, "..", "servers", "todoku-program.ts");

export async function overWebSocket(): Promise<Measured> {
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
  try {
    const { measured, answered } = await published(folder);
    // It was killed without a word.
    return { ...measured, faults: [...(measured.faults ?? []), ...(await faultsIn(folder, answered))] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Outcome {
  readonly measured: Measured;
  /** By channel. */
  readonly answered: ReadonlyMap<string, number>;
}

async function published(folder: string): Promise<Outcome> {
  const port = await freePort();
  await using server = ContenderProcess.node(PROGRAM, [String(port), JSON.stringify(storeIn(folder))]);
  await server.says("listening");
  const publishers: Publisher[] = [];
  const connect = { token: await tokenOf() };
  for (let i = 0; i < CONNECTIONS; i++) {
    publishers.push(await Publisher.connect(port, connect, `c:${i}`, { listens: false, dataOf: textOf }));
  }
  const through = async (messages: number): Promise<void> => {
    const each = messages / CONNECTIONS;
    await Promise.all(publishers.map((one) => one.publishAll(each, UNDER_WAY / CONNECTIONS)));
  };
  await through(WARM_UP);
  const window = { at: performance.now(), server: cpuSeconds(server.pid), own: process.cpuUsage() };
  await through(MEASURED);
  const seconds = (performance.now() - window.at) / 1000;
  const own = process.cpuUsage(window.own);
  const serverSeconds = cpuSeconds(server.pid) - window.server;
  const refused = publishers.reduce((sum, one) => sum + one.refused, 0);
  return {
    measured: {
      load: "",
      value: MEASURED / seconds,
      details: { "CPU µs per publish": (serverSeconds * 1e6) / MEASURED },
      serverShare: serverSeconds / seconds,
      generatorShare: (own.user + own.system) / 1e6 / seconds,
      faults: refused === 0 ? [] : [`${refused} refused`],
    },
    answered: new Map(publishers.map((one) => [one.channel, one.answered])),
  };
}
