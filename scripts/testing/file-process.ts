/** The process of one test file: how long it was silent, what runs in it, and its end with all that it started. */
import type { ChildProcess } from "node:child_process";
import { setTimeout as after } from "node:timers/promises";
import { leftBehind, type LeftBehind } from "./left-behind.ts";

export interface Patience {
  /** A test is ended by then. A file in which nothing begins or ends for longer, hangs. */
  readonly testMs: number;
  /** From the end of a file's last test to that of its process; and from that to the end of what it started. */
  readonly endMs: number;
}

const OFTEN_MS = 50;

export class FileProcess {
  readonly file: string;
  /** What is wrong with it besides its tests: that it hung, or what it left behind. */
  complaint: string | undefined;
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #patience: Patience;
  readonly #kept: () => readonly number[];
  readonly #begun = performance.now();
  readonly #running: string[] = [];
  #seen = 0;
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;
  #killed = false;
  #exited = false;

  /** `kept` are processes that outlive the file on purpose. */
  constructor(file: string, child: ChildProcess, patience: Patience, kept: () => readonly number[]) {
    this.file = file;
    this.#child = child;
    this.#patience = patience;
    this.#kept = kept;
    this.#wait();
    const exited = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    this.ended = exited.then(() => this.#sweep());
  }

  /** How long it took. */
  get seconds(): number {
    return this.#ms / 1000;
  }

  /** A test is known of. */
  testComes(): void {
    this.#seen++;
    this.#open++;
    this.#wait();
  }

  testBegins(name: string): void {
    this.#running.push(name);
    this.#wait();
  }

  testEnds(name: string): void {
    this.#open--;
    const place = this.#running.lastIndexOf(name);
    if (place >= 0) this.#running.splice(place, 1);
    this.#wait();
  }

  /** Ends it, and everything that it started. */
  kill(): void {
    this.#killed = true;
    clearTimeout(this.#timer);
    for (const { pid } of this.#started()) end(pid);
    this.#child.kill("SIGKILL");
  }

  #wait(): void {
    clearTimeout(this.#timer);
    // Its last tests may be told of after its end.
    if (this.#exited) return;
    const { testMs, endMs } = this.#patience;
    const over = this.#seen > 0 && this.#open === 0;
    this.#timer = setTimeout(() => this.#giveUp(over), over ? endMs : testMs + endMs);
  }

  #giveUp(over: boolean): void {
    const { testMs, endMs } = this.#patience;
    const why = over
      ? `its process did not end within ${endMs / 1000} s of its last test`
      : `no test began or ended in it for ${(testMs + endMs) / 1000} s`;
    const within = this.#running.map((name) => `\n  in ${JSON.stringify(name)}`);
    this.complaint = [`the file hangs: ${why}`, ...within, ...this.#started().map(told)].join("");
    this.kill();
  }

  /** Gives what the file started its time: what was told to end just now may do so. */
  async #sweep(): Promise<void> {
    this.#ms = performance.now() - this.#begun;
    this.#exited = true;
    clearTimeout(this.#timer);
    const hasTime = this.complaint === undefined && !this.#killed;
    const alive = hasTime ? await this.#aliveAfter(this.#patience.endMs) : this.#started();
    if (hasTime && alive.length > 0)
      this.complaint = ["the file left processes behind, which were ended", ...alive.map(told)].join("");
    for (const { pid } of alive) end(pid);
    await this.#aliveAfter(this.#patience.endMs);
  }

  /** Resolves with those that have not ended within this time, as soon as there are none. */
  async #aliveAfter(ms: number): Promise<readonly LeftBehind[]> {
    const deadline = performance.now() + ms;
    for (;;) {
      const alive = this.#started();
      if (alive.length === 0 || performance.now() > deadline) return alive;
      await after(OFTEN_MS);
    }
  }

  #started(): readonly LeftBehind[] {
    const { pid } = this.#child;
    return pid === undefined ? [] : leftBehind(pid, this.#kept());
  }
}

function told({ pid, command }: LeftBehind): string {
  return `\n  alive: ${pid} ${command}`;
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended in the meantime.
  }
}
