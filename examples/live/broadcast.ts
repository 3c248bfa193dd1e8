/** A live event for everyone: one channel, spread over all shards of a Redis Cluster. */
import { Todoku } from "@todoku/client";
import type { ConfigInput } from "todoku";

export const EVENT = "live:final";

/** One thing that happened. `n` counts from 1, so that a viewer can tell that nothing is missing. */
export interface Moment {
  readonly n: number;
  readonly text: string;
}

export type Channels = Record<typeof EVENT, Moment>;

/** `cluster` are URLs of some nodes. */
export function configOf(cluster: readonly string[]): ConfigInput {
  return {
    // The viewers of this example all come from one address.
    client: { rate: { connects: "off" }, unauthenticated_per_address: 10_000 },
    backbones: { shards: { type: "redis-sharded", cluster: [...cluster], broadcast_ways: 3 } },
    namespaces: { live: { backbone: "shards", broadcast: true, subscribe: "any" } },
  };
}

/** Somebody who watches, and remembers which moments came. */
export class Viewer {
  readonly seen: number[] = [];
  readonly #client: Todoku<Channels>;

  private constructor(url: string) {
    this.#client = new Todoku<Channels>(url);
  }

  /** Resolves when everything that happens from now on is seen. */
  static async watch(url: string, onMoment: (viewer: Viewer) => void = () => {}): Promise<Viewer> {
    const viewer = new Viewer(url);
    const subscription = viewer.#client.subscribe(EVENT, ({ data }) => {
      viewer.seen.push(data.n);
      onMoment(viewer);
    });
    await subscription.ready;
    return viewer;
  }

  leave(): Promise<void> {
    return this.#client.close();
  }
}
