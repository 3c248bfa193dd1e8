/** PUBLISH and SPUBLISH, gathered per server: those of one turn leave in one write, in their order. */
import { asBackboneError } from "./failure.ts";
import type { Node, RedisServers } from "./servers.ts";

interface Publish {
  readonly to: string;
  readonly payload: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const MOST_IN_PIPELINE = 500;

export class Publishes {
  readonly #name: string;
  readonly #servers: RedisServers;
  readonly #sharded: boolean;
  readonly #waiting = new Map<Node, Publish[]>();

  /** `name` is the backbone's configured name. */
  constructor(name: string, servers: RedisServers, sharded: boolean) {
    this.#name = name;
    this.#servers = servers;
    this.#sharded = sharded;
  }

  /** Resolves when the server has taken it. @throws BackboneError. */
  add(to: string, payload: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const node = this.#servers.nodeOf(to);
      const publish = { to, payload, resolve, reject };
      const waiting = this.#waiting.get(node);
      if (waiting) {
        waiting.push(publish);
        return;
      }
      this.#waiting.set(node, [publish]);
      queueMicrotask(() => this.#flush(node));
    });
  }

  #flush(node: Node): void {
    const publishes = this.#waiting.get(node) ?? [];
    this.#waiting.delete(node);
    for (let i = 0; i < publishes.length; i += MOST_IN_PIPELINE)
      void this.#send(node, publishes.slice(i, i + MOST_IN_PIPELINE));
  }

  async #send({ redis }: Node, publishes: readonly Publish[]): Promise<void> {
    const pipeline = redis.pipeline();
    for (const { to, payload } of publishes) {
      if (this.#sharded) pipeline.spublish(to, payload);
      else pipeline.publish(to, payload);
    }
    let failed = false;
    try {
      const outcomes = (await pipeline.exec()) ?? [];
      publishes.forEach(({ resolve, reject }, i) => {
        const [error] = outcomes[i] ?? [new Error("no answer")];
        if (!error) return resolve();
        failed = true;
        reject(asBackboneError(this.#name, error, "write"));
      });
    } catch (error) {
      failed = true;
      for (const { reject } of publishes) reject(asBackboneError(this.#name, error, "write"));
    }
    if (failed) void this.#servers.refresh().catch(() => {});
  }
}
