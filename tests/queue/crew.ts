/** The worker processes of a run, which are killed and frozen one after the other. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { Program } from "../program.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { LEASE_MS, type Attempt } from "./work.ts";
import type { WorkerTask } from "./worker.ts";

const WORKER = path.join(import.meta.dirname, "worker.ts");

export class Crew implements AsyncDisposable {
  /** Processes that were killed or frozen. */
  struck = 0;
  readonly #folder: string;
  readonly #tasks: readonly WorkerTask[];
  readonly #workers: Program[];

  /** `folder` for what the processes keep. */
  constructor(folder: string, tasks: readonly Omit<WorkerTask, "attempts">[]) {
    this.#folder = folder;
    this.#tasks = tasks.map((task, i) => ({ ...task, attempts: path.join(folder, `attempts-${i}`) }));
    this.#workers = this.#tasks.map((task) => this.#start(task));
  }

  /** Kills and freezes one after the other until the signal. */
  async trouble(random: SeededRandom, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await after(random.integer(400, 1600));
      const at = random.integer(0, this.#workers.length - 1);
      const [worker, task] = [this.#workers[at], this.#tasks[at]];
      if (!worker || !task) continue;
      this.struck++;
      if (random.next() < 0.5) {
        await worker.end("SIGKILL");
        this.#workers[at] = this.#start(task);
      } else {
        worker.signal("SIGSTOP");
        await after(LEASE_MS * 1.25);
        worker.signal("SIGCONT");
      }
    }
  }

  /** Of all processes, those that were killed too. */
  attempts(): readonly Attempt[] {
    return this.#tasks.flatMap(({ attempts }) =>
      readFileSync(attempts, "utf8")
        .split("\n")
        // A process that is killed may leave half a line.
        .filter((line) => line.endsWith("}"))
        .map((line) => JSON.parse(line) as Attempt),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.end("SIGKILL")));
  }

  #start(task: WorkerTask): Program {
    const env = { NODE_COMPILE_CACHE: path.join(this.#folder, "compiled") };
    return new Program(WORKER, [JSON.stringify(task)], { env });
  }
}
