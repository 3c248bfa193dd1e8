/**
 * A server under load as a process of its own, alone on the first core. It is told what to do line by line on its standard
 * input, and answers on its standard output: so can a program in any language.
 *
 * - It prints `listening` once it takes connections, on the port that it was started with.
 * - `publish RATE MS PREFIX CHANNELS FIRST BYTES`: it publishes evenly, RATE messages a second over all channels for MS
 *   milliseconds, message n (counted from FIRST) on the channel PREFIX followed by `n % CHANNELS`, stamped as in
 *   server/src/load/stamp.ts and BYTES long. It answers `publishing`, and when it has ended `published COUNT`.
 * - `collect`: it frees what memory it can and answers `collected`.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { CAN_PIN, SERVER_CORE } from "./process-cost.ts";

const PATIENCE_MS = 60_000;

export class ContenderProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<void>;
  readonly #said: string[] = [];
  #heard = (): void => {};
  readonly #after: (() => void)[] = [];
  #over = false;
  #stderr = "";

  constructor(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    // Pinned before it starts: some runtimes count the cores only once.
    const [command, all] = CAN_PIN ? ["taskset", ["-c", String(SERVER_CORE), program, ...args]] : [program, args];
    const child = spawn(command, all, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stdin.on("error", () => {});
    child.stderr.on("data", (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-2000)));
    createInterface(child.stdout).on("line", (line) => {
      this.#said.push(line);
      this.#heard();
    });
    child.on("error", (error) => (this.#stderr += error.message));
    this.#ended = once(child, "close").then(
      () => this.#end(),
      () => this.#end(),
    );
  }

  /** Starts a program of this repository with this Node. */
  static node(
    script: string,
    args: readonly string[],
    nodeFlags: readonly string[] = [],
    env?: Readonly<Record<string, string>>,
  ): ContenderProcess {
    const flags = ["--conditions=source", "--disable-warning=ExperimentalWarning", "--expose-gc", ...nodeFlags];
    return new ContenderProcess(process.execPath, [...flags, script, ...args], env);
  }

  /** Starts a program of this repository with the package `bun`. */
  static bun(script: string, args: readonly string[]): ContenderProcess {
    return new ContenderProcess("bun", ["--conditions=source", script, ...args]);
  }

  /** Is called when the process has ended. */
  afterwards(clean: () => void): void {
    this.#after.push(clean);
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** @throws Error with its last words when it has ended. */
  mustLive(): void {
    if (this.#over) throw new Error(`the server ended: ${this.#stderr.trim() || "without a word"}`);
  }

  /** Resolves with what follows `word` in the next line that begins with it. Rejects with its last words when it ends. */
  async says(word: string): Promise<string> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const at = this.#said.findIndex((line) => line === word || line.startsWith(`${word} `));
      const [line] = at === -1 ? [] : this.#said.splice(at, 1);
      if (line !== undefined) return line.slice(word.length + 1);
      this.mustLive();
      if (performance.now() > deadline) throw new Error(`the server never said ${word}: ${this.#stderr}`);
      await this.#somethingHeard();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #end(): void {
    this.#over = true;
    for (const clean of this.#after) clean();
    this.#heard();
  }

  async #somethingHeard(): Promise<void> {
    const heard = Promise.withResolvers<void>();
    const timer = setTimeout(heard.resolve, PATIENCE_MS);
    this.#heard = heard.resolve;
    await heard.promise;
    clearTimeout(timer);
  }
}
