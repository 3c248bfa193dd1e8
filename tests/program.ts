/** A program of this repository as a child process: started, listened to, and ended. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

const FLAGS = ["--conditions=source", "--disable-warning=ExperimentalWarning"];

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  readonly folder?: string;
  readonly nodeFlags?: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Program {
  readonly pid: number;
  /** Resolves when the process has ended and its last output was read. */
  readonly ended: Promise<Exit>;
  readonly #child: ChildProcess;
  #stderr = "";

  constructor(script: string, args: readonly string[], { folder, nodeFlags = [], env = {} }: ProgramOptions = {}) {
    const child = spawn(process.execPath, [...FLAGS, ...nodeFlags, script, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      ...(folder !== undefined && { cwd: folder }),
    });
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stderr.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.ended = once(child, "close").then(([code, signal]) => ({ code, signal }));
  }

  /** What it has written to standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Resolves with the next that it writes to standard output. Rejects with its own words when it ends before. */
  speaks(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString()));
      void this.ended.then(({ code, signal }) => reject(new Error(`it ended with ${signal ?? code}: ${this.#stderr}`)));
    });
  }

  /** Sends the signal and resolves when the process has ended. */
  end(signal: NodeJS.Signals): Promise<Exit> {
    this.signal(signal);
    return this.ended;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
