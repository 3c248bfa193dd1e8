/** The worker processes: so many at any time, whoever kills them. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Crew } from "./events.ts";

export interface WorkersOptions {
  readonly count: number;
  /** Arguments of `worker.ts`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly changed: (crew: Crew) => void;
}

interface Place {
  child: ChildProcess;
  deaths: number;
}

const SCRIPT = path.join(import.meta.dirname, "worker.ts");

export class Workers {
  readonly #options: WorkersOptions;
  readonly #places: Place[];
  #closing = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.count }, () => ({ child: this.#start(), deaths: 0 }));
    for (const place of this.#places) this.#watch(place);
    this.#tell();
  }

  get pids(): readonly number[] {
    return this.#places.flatMap(({ child: { pid } }) => pid ?? []);
  }

  /** The hard way. Returns whether there is such a worker. */
  kill(pid: number): boolean {
    return this.#places.find(({ child }) => child.pid === pid)?.child.kill("SIGKILL") ?? false;
  }

  /** They give their jobs back and end. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(
      this.#places.map(async ({ child }) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        await ended;
      }),
    );
  }

  #start(): ChildProcess {
    const { args, env } = this.#options;
    return fork(SCRIPT, args, {
      env: { ...process.env, ...env },
      execArgv: ["--conditions=source", "--disable-warning=ExperimentalWarning"],
    });
  }

  #watch(place: Place): void {
    place.child.once("exit", (code, signal) => {
      if (this.#closing) return;
      place.deaths++;
      // One that ends by itself cannot work here, and the next could not either.
      if (signal === null && code !== 0) throw new Error(`a worker ended with exit code ${code}`);
      place.child = this.#start();
      this.#watch(place);
      this.#tell();
    });
  }

  #tell(): void {
    this.#options.changed({
      workers: this.#places.map(({ child: { pid }, deaths }, i) => ({
        place: i + 1,
        deaths,
        ...(pid !== undefined && { pid }),
      })),
    });
  }
}
