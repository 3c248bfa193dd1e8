/** A process that the supervisor has started, as the supervisor sees it. */
import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";
import type { MetricSnapshot } from "../api/metrics.ts";
import { ConfigError } from "../config-error.ts";
import type { Order, Report } from "./messages.ts";

/** `child.ts` beside this file, or what it was compiled to. */
const CHILD = path.join(import.meta.dirname, `child${path.extname(import.meta.filename)}`);
/** A start that takes longer has failed. */
const START_MS = 120_000;

export interface Ready {
  readonly url: string;
  readonly internalUrl?: string;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class ForkedProcess {
  readonly pid: number;
  /** Rejects with what the process said of its failure, or that it died. */
  readonly ready: Promise<Ready>;
  readonly ended: Promise<Exit>;
  readonly startedAt: number = performance.now();
  /** What its metrics were when they were last asked for. */
  snapshot: MetricSnapshot | undefined;
  isReady = false;
  #heardAt = performance.now();
  readonly #child: ChildProcess;
  readonly #questions = new Map<number, () => void>();
  #asked = 0;

  /** `heard` is given what the process says by itself. */
  constructor(order: Order, heard: (report: Report) => void) {
    // Read by nobody but whoever looks at the system's list of processes: Bun's have no title there.
    const name = order.order === "serve" ? ["worker", String(order.worker)] : ["store"];
    const child = fork(CHILD, name, { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      // It could not even be started.
      child.once("error", () => child.pid === undefined && resolve({ code: 1, signal: null }));
    });
    this.ready = new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        reject(new Error(`a process was not ready within ${START_MS / 1000} s`));
        this.kill();
      }, START_MS);
      child.on("message", (report: Report) => {
        this.#heardAt = performance.now();
        if (report.report === "ready") {
          this.isReady = true;
          resolve(report);
        } else if (report.report === "failed") reject(new ConfigError(report.problems));
        else this.#hear(report, heard);
      });
      void this.ended.then(({ code, signal }) => {
        clearTimeout(late);
        reject(new Error(`a process ended with ${signal ?? code} before it was ready`));
      });
      child.once("message", () => clearTimeout(late));
    });
    // Who wants to know waits for it; nobody has to.
    this.ready.catch(() => {});
    this.say(order);
  }

  /** How long it has said nothing, though it was asked something. */
  get silentMs(): number {
    return this.#questions.size === 0 ? 0 : performance.now() - this.#heardAt;
  }

  say(order: Order): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Its metrics; after `ms` those that were known before. */
  async measure(ms: number): Promise<MetricSnapshot | undefined> {
    if (!this.isReady) return this.snapshot;
    const id = this.#asked++;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(late);
        this.#questions.delete(id);
        resolve();
      };
      const late = setTimeout(done, ms);
      this.#questions.set(id, done);
      void this.ended.then(done);
      this.say({ order: "measure", id });
    });
    return this.snapshot;
  }

  #hear(report: Report, heard: (report: Report) => void): void {
    if (report.report === "measured" || report.report === "asked") this.snapshot = report.snapshot;
    if (report.report === "measured") this.#questions.get(report.id)?.();
    else heard(report);
  }
}
