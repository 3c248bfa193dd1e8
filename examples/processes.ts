/** Processes of an example: one of each at any time, whoever kills them. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";

export interface ProcessSpec {
  readonly name: string;
  /** Path of what it runs. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What can be shown of a process. */
export interface ProcessState {
  readonly name: string;
  /** Absent while there is none. */
  readonly pid?: number;
  /** How often it ended before its time. */
  readonly deaths: number;
}

export interface ProcessesOptions {
  readonly specs: readonly ProcessSpec[];
  /** Called after each change. */
  readonly changed: (states: readonly ProcessState[]) => void;
  /** What one of them says to its parent. */
  readonly said?: (message: unknown) => void;
  /** One that ends by itself with an error is started again after so many milliseconds. Without this it ends everything. */
  readonly pauseMs?: number;
}

interface Place {
  readonly spec: ProcessSpec;
  child: ChildProcess | undefined;
  deaths: number;
}

export class Processes {
  readonly #options: ProcessesOptions;
  readonly #places: Place[];
  #closing = false;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.#places = options.specs.map((spec) => ({ spec, child: undefined, deaths: 0 }));
    for (const place of this.#places) this.#start(place);
    this.#tell();
  }

  get states(): readonly ProcessState[] {
    return this.#places.map(({ spec: { name }, child, deaths }) => ({
      name,
      deaths,
      ...(child?.pid !== undefined && { pid: child.pid }),
    }));
  }

  get pids(): readonly number[] {
    return this.states.flatMap(({ pid }) => pid ?? []);
  }

  /** The hard way, by name or process id. Returns whether there is such a process. */
  kill(which: string | number): boolean {
    const place = this.#places.find(({ spec, child }) => spec.name === which || child?.pid === which);
    return place?.child?.kill("SIGKILL") ?? false;
  }

  /** Says something to all of them. */
  tell(message: object): void {
    for (const { child } of this.#places) if (child?.connected === true) child.send(message, () => {});
  }

  /** Asks them to end, the last one first. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const { child } of this.#places.toReversed()) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
  }

  #start(place: Place): void {
    const { script, args, env } = place.spec;
    const child = fork(script, args, {
      env: { ...process.env, ...env },
      // A broker without replicas is what an example has, and no reason to warn.
      execArgv: ["--conditions=source", "--no-warnings"],
    });
    place.child = child;
    child.on("message", (message) => this.#options.said?.(message));
    child.once("exit", (code, signal) => {
      if (this.#closing) return;
      place.child = undefined;
      place.deaths++;
      const again = (): void => {
        if (this.#closing) return;
        this.#start(place);
        this.#tell();
      };
      if (signal !== null || code === 0) return again();
      const { pauseMs } = this.#options;
      // It cannot work here, and the next could not either.
      if (pauseMs === undefined) throw new Error(`${place.spec.name} ended with exit code ${code}`);
      this.#tell();
      setTimeout(again, pauseMs);
    });
  }

  #tell(): void {
    this.#options.changed(this.states);
  }
}
