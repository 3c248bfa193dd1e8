/** One server of a broker: its process, its output, and ways to hurt it. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { closeSync, openSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import path from "node:path";

export interface ServerOptions {
  /** Name of its log file, and in errors. */
  readonly name: string;
  readonly folder: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  /** How long its port may take to answer. Default 30 s. */
  readonly startMs?: number;
  /** Whether it is of use, asked from when its port answers until it says so. Default: it is then. */
  readonly isReady?: () => Promise<boolean>;
  /** Processes that it has started may outlive it for a moment, in which it cannot be started again: that is tried until it can. */
  readonly isOutlived?: true;
  readonly env?: Readonly<Record<string, string>>;
  /** Whom it runs as, if not as who starts it. */
  readonly uid?: number;
  readonly gid?: number;
}

const START_MS = 30_000;
const STOP_MS = 10_000;

export class ServerProcess {
  readonly options: ServerOptions;
  #child: ChildProcess | undefined;
  #hasRun = false;

  constructor(options: ServerOptions) {
    this.options = options;
  }

  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  get port(): number {
    return this.options.port;
  }

  /** Starts it, or starts it again on the same port and folder. Resolves when its port takes connections, and it is ready. */
  async start(): Promise<this> {
    const { isOutlived, startMs = START_MS } = this.options;
    const deadline = Date.now() + startMs;
    for (;;) {
      try {
        await this.#startOnce();
        this.#hasRun = true;
        return this;
      } catch (error) {
        if (!isOutlived || !this.#hasRun || this.pid !== undefined || Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  async #startOnce(): Promise<void> {
    const { name, folder, command, args, env, port, uid, gid, startMs = START_MS } = this.options;
    const log = path.join(folder, `${name}.log`);
    const output = openSync(log, "a");
    const child = spawn(command, args, {
      cwd: folder,
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...env },
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    });
    closeSync(output);
    child.unref();
    this.#child = child;
    const failed = new Promise<never>((_, reject) => {
      child.once("error", (error) => reject(new Error(`[${name}] ${command} did not start (${error.message})`)));
      child.once("exit", (code) =>
        reject(new Error(`[${name}] ${command} ended with ${code}; its last words:\n${lastWords(log)}`)),
      );
    });
    failed.catch(() => {});
    await Promise.race([answers(port, startMs).then(() => this.#ready(startMs)), failed]);
  }

  async #ready(withinMs: number): Promise<void> {
    const { name, isReady } = this.options;
    if (!isReady) return;
    const deadline = Date.now() + withinMs;
    while (!(await isReady())) {
      if (Date.now() > deadline) throw new Error(`[${name}] is not ready after ${withinMs / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Asks it to end, and ends it if it does not. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Frozen: its connections stay open and nobody answers. */
  freeze(): void {
    if (this.pid !== undefined) process.kill(this.pid, "SIGSTOP");
  }

  thaw(): void {
    if (this.pid !== undefined) process.kill(this.pid, "SIGCONT");
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || this.pid === undefined) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGCONT");
    child.kill(signal);
    const impatient = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(impatient);
  }
}

/**
 * Free loopback ports that differ from each other. Below the range from which the system gives ports to outgoing
 * connections, so that a server that was killed finds its port free when it comes back.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(12_000, 32_000);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Resolves when the port takes a connection. */
export async function answers(port: number, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
    if (open) return;
    if (Date.now() > deadline) throw new Error(`nothing answers on port ${port} after ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function lastWords(log: string): string {
  return readFileSync(log, "utf8").split("\n").slice(-12).join("\n");
}
