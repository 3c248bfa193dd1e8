/** The programs that `consume --exec` runs: one per job, in a process group of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import type { Job } from "@todoku/client/queue";
import type { Terminal } from "./command.ts";

/** Of what a failed program said last. */
const REASON_CHARACTERS = 200;

/**
 * Ctrl-C goes to every process of the terminal's foreground group. A group of its own lets a job's program finish, and lets it be
 * ended together with what it has started.
 */
const OWN_GROUP = process.platform !== "win32";

export class JobPrograms implements Disposable {
  readonly #command: string;
  readonly #terminal: Terminal;
  readonly #running = new Set<ChildProcess>();
  readonly #endAll = (): void => {
    for (const child of this.#running) end(child);
  };

  constructor(command: string, terminal: Terminal) {
    this.#command = command;
    this.#terminal = terminal;
    // They would outlive a consumer that is told to end at once.
    process.on("exit", this.#endAll);
  }

  /** Rejects with what the program wrote last when it failed. It is ended by SIGTERM when the lease is lost. */
  run({ queue, id, attempt, data, signal }: Job): Promise<void> {
    const { env, folder, out, error } = this.#terminal;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const child = spawn(this.#command, {
      shell: true,
      detached: OWN_GROUP,
      cwd: folder,
      env: { ...env, TODOKU_QUEUE: queue, TODOKU_JOB: id, TODOKU_ATTEMPT: String(attempt) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#running.add(child);
    const lost = (): void => end(child);
    signal.addEventListener("abort", lost);
    if (signal.aborted) lost();
    let last = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => out(text.trimEnd()));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      last = text.trimEnd().slice(-REASON_CHARACTERS);
      error(text.trimEnd());
    });
    // A program need not read its input.
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify(data));
    const ended = (failure?: Error): void => {
      this.#running.delete(child);
      signal.removeEventListener("abort", lost);
      if (failure) reject(failure);
      else resolve();
    };
    child.on("error", ended);
    child.on("close", (code, killed) => {
      if (code === 0) ended();
      else ended(new Error(`${code === null ? String(killed) : `exit ${code}`}${last === "" ? "" : `: ${last}`}`));
    });
    return promise;
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#endAll);
  }
}

function end(child: ChildProcess): void {
  if (child.pid === undefined || !OWN_GROUP) {
    child.kill("SIGTERM");
    return;
  }
  try {
    process.kill(-child.pid, "SIGTERM");
  } catch {
    // It has ended by itself.
  }
}
