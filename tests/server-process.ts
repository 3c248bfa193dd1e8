/** The real program, `todoku serve`, as a child process that can be killed and started again in its place. */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { ConfigInput } from "../server/src/config.ts";
import { Program, type Exit } from "./program.ts";

const MAIN = path.join(import.meta.dirname, "..", "server", "src", "cli", "main.ts");

/** What a start that was refused, or a command, came to. */
export interface Refusal extends Exit {
  readonly stderr: string;
}

/** A folder for configuration and data, and the server that is started in it, again and again, on one port. */
export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  /** Made by the first start, removed with this. */
  readonly folder: string;
  readonly #configFile: string;
  readonly #dev: boolean;
  readonly #nodeFlags: readonly string[];
  #program: Program | undefined;

  private constructor(port: number, folder: string, dev: boolean, nodeFlags: readonly string[]) {
    this.port = port;
    this.#dev = dev;
    this.folder = folder;
    this.#nodeFlags = nodeFlags;
    this.#configFile = path.join(folder, "config.json");
  }

  /**
   * Starts the program with `config` and resolves when it is ready. Relative paths in it, such as that of the data, lie in
   * the folder of this process. With `"dev"` it is what `npm start` serves.
   */
  static async start(config: ConfigInput | "dev", nodeFlags: readonly string[] = []): Promise<ServerProcess> {
    const server = await ServerProcess.prepare(config, nodeFlags);
    await server.restart();
    return server;
  }

  /** As `start`, without starting. */
  static async prepare(
    config: ConfigInput | "dev",
    nodeFlags: readonly string[] = [],
    onPort?: number,
  ): Promise<ServerProcess> {
    const port = onPort ?? (await freePort());
    const folder = mkdtempSync(path.join(tmpdir(), "todoku-"));
    const server = new ServerProcess(port, folder, config === "dev", nodeFlags);
    if (config !== "dev") server.configure(config);
    return server;
  }

  get #env(): Record<string, string> {
    return { NODE_COMPILE_CACHE: path.join(this.folder, "compiled") };
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get webSocketUrl(): string {
    return `ws://127.0.0.1:${this.port}/connection/websocket`;
  }

  /** @throws Error while it does not run. */
  get program(): Program {
    if (!this.#program) throw new Error("the server does not run");
    return this.#program;
  }

  /** Replaces the configuration; it holds from the next start. */
  configure(config: ConfigInput): void {
    writeFileSync(
      this.#configFile,
      JSON.stringify({
        log: { level: "error" },
        ...config,
        http: { host: "127.0.0.1", ...config.http, port: this.port },
      }),
    );
  }

  /** Starts the program where it does not run, and resolves when it is ready. Rejects with its own words when it is not. */
  async restart(): Promise<void> {
    // It speaks once it listens; see `announce` in server/src/cli/serve.ts.
    await this.#start().speaks();
    const { ok, status } = await fetch(`${this.url}/health/ready`);
    if (!ok) throw new Error(`todoku serve is not ready: ${status}`);
  }

  /** Lets later starts find the compiled code of an earlier one: they take half the time. */
  async keepCompiledCode(): Promise<void> {
    // Node writes its cache when a process ends by itself, which a killed server never does.
    const { code } = await new Program(MAIN, ["--version"], { env: this.#env }).ended;
    if (code !== 0) throw new Error(`todoku --version ended with ${code}`);
  }

  /** For a start that must fail: resolves with what the program said and how it ended. */
  async refusedStart(): Promise<Refusal> {
    const program = this.#start();
    const exit = await program.ended;
    return { ...exit, stderr: program.stderr };
  }

  /** Runs another command of the program with this configuration. */
  async command(name: string): Promise<Refusal> {
    const program = new Program(MAIN, [name, "--config", this.#configFile], { folder: this.folder, env: this.#env });
    const exit = await program.ended;
    return { ...exit, stderr: program.stderr };
  }

  /** Ends it as a power loss would, and resolves when it is gone. */
  kill(): Promise<Exit> {
    return this.program.end("SIGKILL");
  }

  /** Asks it to leave, and resolves when it has. */
  stop(): Promise<Exit> {
    return this.program.end("SIGTERM");
  }

  /** One call of the HTTP API. @throws Error with the answered error. */
  async api<Result>(method: string, body: object): Promise<Result> {
    const response = await fetch(`${this.url}/api/${method}`, {
      method: "POST",
      body: JSON.stringify(body),
      // Servers are killed here, and Bun does not always notice in time that a connection which it keeps is dead.
      keepalive: false,
    });
    const answer = (await response.json()) as { result?: Result; error?: { code: number; message: string } };
    if (answer.result === undefined) throw new Error(`${method}: ${JSON.stringify(answer.error)}`);
    return answer.result;
  }

  /** The sum of a metric's values over all its labels that match. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return lines
      .filter((line) => Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#program) await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #start(): Program {
    if (this.#program) throw new Error("the server runs already");
    const source = this.#dev ? ["--dev", "--port", String(this.port)] : ["--config", this.#configFile];
    const program = new Program(MAIN, ["serve", ...source], {
      folder: this.folder,
      nodeFlags: this.#nodeFlags,
      env: this.#env,
    });
    this.#program = program;
    void program.ended.then(() => (this.#program = undefined));
    return program;
  }
}

const LOWEST_PORT = 12_000;
const PORTS = 18_000;

/**
 * A port below those that the system gives to outgoing connections: a client that keeps trying to connect while the server
 * is down could otherwise be given the server's own port, and would then be connected to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    try {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
      return port;
    } catch {
      // Taken: try another.
    } finally {
      server.close();
    }
  }
}
