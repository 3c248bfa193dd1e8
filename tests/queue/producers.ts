/** Producers that repeat: each job under a key of its own, until it is acknowledged, and some of them once more. */
import { setTimeout as after } from "node:timers/promises";
import { Todoku } from "@todoku/client";
import type { SeededRandom } from "../seeded-random.ts";
import { workOf, type QueueName, type Work } from "./work.ts";

/** Jobs that one producer has on their way at once. */
const UNDER_WAY = 24;
/** While it waits for the next stage of the run, a producer sends a job now and then, so that something is always under way. */
const TRICKLE_MS = 50;
const REPEATED = 0.02;

export class Producers {
  readonly jobs: Work[] = [];
  acknowledged = 0;
  /** Publishes that were answered as repeated. */
  duplicates = 0;
  readonly #rare: number;
  readonly #clients: readonly Todoku<Record<QueueName, Work>>[];
  readonly #waiting = new Set<() => void>();
  #quota = 0;
  #over = false;
  #next = 0;

  constructor(urls: readonly string[], count: number, rare: number) {
    this.#rare = rare;
    this.#clients = Array.from({ length: count }, (_, i) => {
      const options = { backoff: { firstMs: 50, lastMs: 500 }, timeoutMs: 5000, publishTimeoutMs: 20_000 };
      const client = new Todoku<Record<QueueName, Work>>(urls[i % urls.length] ?? "", options);
      client.on("error", () => {});
      return client;
    });
  }

  /** Lets them produce so many jobs, altogether, as fast as they can. */
  upTo(jobs: number): void {
    this.#quota = jobs;
  }

  /** No further jobs, but those of the quota. */
  end(): void {
    this.#over = true;
  }

  /** Resolves when further jobs are acknowledged. */
  progress(): Promise<void> {
    return this.reach(this.acknowledged + 20);
  }

  /** Resolves when so many jobs are acknowledged. */
  async reach(jobs: number): Promise<void> {
    while (this.acknowledged < jobs) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Resolves when all jobs of the quota are acknowledged, after `end`. */
  async produce(random: SeededRandom): Promise<void> {
    await Promise.all(this.#clients.map((client) => this.#run(client, random.fork())));
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  async #run(client: Todoku<Record<QueueName, Work>>, luck: SeededRandom): Promise<void> {
    const underWay = new Set<Promise<void>>();
    for (;;) {
      if (this.#next >= this.#quota) {
        if (this.#over) break;
        await after(TRICKLE_MS);
      }
      const work = workOf(this.#next++, this.#rare);
      this.jobs.push(work);
      const stored = this.#store(client, work, luck.next() < REPEATED).finally(() => underWay.delete(stored));
      underWay.add(stored);
      if (underWay.size >= UNDER_WAY) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  }

  async #store(client: Todoku<Record<QueueName, Work>>, work: Work, again: boolean): Promise<void> {
    await this.#publish(client, work);
    // Some applications repeat what was stored.
    if (again) await this.#publish(client, work);
    this.acknowledged++;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async #publish(client: Todoku<Record<QueueName, Work>>, work: Work): Promise<void> {
    for (;;) {
      try {
        const { duplicate } = await client.publish(work.queue, work, { key: `job ${work.n}` });
        if (duplicate) this.duplicates++;
        return;
      } catch {
        // Not within its time, or the outcome is unknown: the same key makes the repeat harmless.
        await after(200);
      }
    }
  }
}
