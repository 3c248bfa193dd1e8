/**
 * Gives memory back to the system after a surge. V8 keeps the pages of the highest load it has seen: it decides by how fast a
 * process allocates, learns that from collections, and a process that has become calm collects nothing any more. After 10,000
 * clients had come and gone a gateway kept 400 MB, with 23 MB in use; asked once, V8 lets go of all of it.
 *
 * Asking stops the process for as long as V8 looks through what is in use (about 100 ms per 100 MB). So it is done only when there
 * is little to do, when there is something to gain, and rarely.
 */
import { performance } from "node:perf_hooks";
import { systemClock, type Clock } from "./clock.ts";

/** What is known of the process, and done to it. */
export interface ProcessMemory {
  /** Resident memory in bytes. */
  resident(): number;
  /** How much of the time since the last call the event loop was busy, 0 to 1. */
  busy(): number;
  /** Collects what is not in use and gives its pages back. Rejects where the runtime cannot. */
  giveBack(): Promise<void>;
}

const CHECK_MS = 10_000;
const REST_MS = 60_000;
/** Busier than this, a pause would be noticed. */
const CALM = 0.3;
/** Growth that is worth a pause: by a quarter, and by so many bytes. */
const GROWTH = 1.25;
const GROWTH_BYTES = 32 * 1024 * 1024;
/** Fewer connections leave nothing behind that is worth a pause. */
const MANY_CONNECTIONS = 1000;

export class MemoryReturn {
  readonly #clock: Clock;
  readonly #process: ProcessMemory;
  readonly #connections: () => number;
  /** Resident memory when there was nothing to give back. */
  #settled: number;
  /** Most connections since then. */
  #most = 0;
  #restUntil = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(clock: Clock, process: ProcessMemory, connections: () => number) {
    this.#clock = clock;
    this.#process = process;
    this.#connections = connections;
    this.#settled = process.resident();
  }

  start(): void {
    this.#cancel = this.#clock.after(CHECK_MS, () => {
      this.#check().then(
        () => !this.#stopped && this.start(),
        // The runtime cannot: asking again would change nothing.
        () => {},
      );
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #check(): Promise<void> {
    const connections = this.#connections();
    const calm = this.#process.busy() < CALM;
    this.#most = Math.max(this.#most, connections);
    if (!calm || this.#clock.now() < this.#restUntil) return;
    const grown = this.#process.resident() > this.#settled * GROWTH + GROWTH_BYTES;
    const left = this.#most >= MANY_CONNECTIONS && connections * GROWTH < this.#most;
    if (!grown && !left) return;
    await this.#process.giveBack();
    this.#settled = this.#process.resident();
    this.#most = connections;
    this.#restUntil = this.#clock.now() + REST_MS;
  }
}

/** Gives this process's memory back from now on, until the returned function is called. */
export function returnMemory(gateway: { readonly connections: number }): () => void {
  const memory = new MemoryReturn(systemClock, processMemory(), () => gateway.connections);
  memory.start();
  return () => memory.stop();
}

/** This process, on V8. */
export function processMemory(): ProcessMemory {
  let last = performance.eventLoopUtilization();
  return {
    resident: () => process.memoryUsage.rss(),
    busy: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    giveBack: async () => {
      // The only door to V8's low-memory collection that needs no flag at the start of the process.
      const { Session } = await import("node:inspector/promises");
      const session = new Session();
      session.connect();
      try {
        await session.post("HeapProfiler.collectGarbage");
      } finally {
        session.disconnect();
      }
    },
  };
}
