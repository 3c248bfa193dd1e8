/**
 * Publishes what the book has, entry by entry. It was committed first: nobody hears of what did not happen. A process that dies
 * after the publish and before the mark publishes it again, under the same key.
 */
import { setTimeout as after } from "node:timers/promises";
import type { Todoku } from "@todoku/client";
import type { Pool } from "pg";
import { markPublished, unpublished } from "./book.ts";
import { ENTRIES, type Channels, type Entry } from "./messages.ts";

const PAUSE_MS = 500;

export class Outbox {
  readonly #pool: Pool;
  readonly #client: Todoku<Channels>;
  #wake: () => void = () => {};
  #woken = false;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(pool: Pool, client: Todoku<Channels>) {
    this.#pool = pool;
    this.#client = client;
    this.#running = this.#run();
  }

  /** There may be something. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#woken = false;
      try {
        const entries = await unpublished(this.#pool);
        for (const entry of entries) await this.#publish(entry);
        if (entries.length > 0) continue;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        console.error(`outbox: ${error instanceof Error ? error.message : String(error)}; it is tried again`);
        await after(PAUSE_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
        continue;
      }
      if (!this.#woken) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async #publish(entry: Entry): Promise<void> {
    const key = entry.kind === "opened" ? "opened" : entry.transfer;
    // In their order: the next one leaves when this one is stored.
    await this.#client.publish(ENTRIES, entry, { key, signal: this.#stop.signal });
    await markPublished(this.#pool, entry);
  }
}
