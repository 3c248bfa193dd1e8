/** A server that scenarios put under load: how it is started, spoken to, and told to publish. */
import type { Dialect } from "../../server/src/load/dialect.ts";
import { freePort } from "../../tests/server-process.ts";
import type { ContenderProcess } from "../contender-process.ts";
import { cpuSeconds } from "../process-cost.ts";

export interface Server {
  /** As the tables call it. */
  readonly name: string;
  /** What it is built of: `{ "socket.io": "4.8.4" }`. */
  readonly versions?: () => Readonly<Record<string, string>>;
  /** Builds what must be built. Resolves with the reason where it cannot run here. */
  prepare?(): Promise<string | undefined>;
  /** Starts it on the port, in a process that speaks as `ContenderProcess` says. */
  start(port: number): Promise<ContenderProcess>;
  /** Processor time of all that serves, in seconds; absent: that of the process. */
  cpuSeconds?(process: ContenderProcess): number;
  /** Secrets and all: how its clients speak. */
  dialect(): Promise<Dialect>;
}

export interface Running extends AsyncDisposable {
  readonly port: number;
  readonly process: ContenderProcess;
  readonly dialect: Dialect;
  cpuSeconds(): number;
}

export async function running(server: Server): Promise<Running> {
  const port = await freePort();
  const process = await server.start(port);
  try {
    await process.says("listening");
    return {
      port,
      process,
      dialect: await server.dialect(),
      cpuSeconds: () => {
        // What it said last tells more than that its process is not to be found.
        process.mustLive();
        return server.cpuSeconds?.(process) ?? cpuSeconds(process.pid);
      },
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}
