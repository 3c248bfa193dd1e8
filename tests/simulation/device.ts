/** A simulated page or app: one SDK client with its subscriptions. It may be thrown away and started again. */
import type { Position } from "@todoku/protocol";
import { memoryCursors, Todoku, type CursorStore } from "@todoku/client";
import type { Surroundings } from "./gateway-process.ts";
import type { Connection } from "./connection.ts";
import { Subscriber, type Watcher } from "./subscriber.ts";
import type { Sabotage } from "./sabotage.ts";
import type { SubscriberPlan } from "./scenario.ts";
import { ProcessClock } from "./virtual-time.ts";
import { webSocketOf } from "./web-socket.ts";

export interface DeviceOptions {
  readonly name: string;
  readonly user: string;
  /** It keeps its positions across reloads. */
  readonly stores: boolean;
  readonly around: Surroundings;
  readonly sabotage?: Sabotage;
  readonly subscribers: readonly { readonly plan: SubscriberPlan; readonly watcher: Watcher }[];
}

export class Device {
  readonly name: string;
  readonly subscribers: readonly Subscriber[];
  readonly #options: DeviceOptions;
  readonly #storage: CursorStore;
  readonly #connections = new Set<Connection>();
  readonly #whenReloaded: (() => void)[] = [];
  #clock: ProcessClock;
  #client: Todoku;

  /** Starts it, and subscribes. */
  constructor(options: DeviceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#storage = options.sabotage === "positions" ? forgetful(memoryCursors()) : memoryCursors();
    this.subscribers = options.subscribers.map(
      ({ plan, watcher }) =>
        new Subscriber(`${options.name}/${plan.channel}`, options.user, plan, watcher, options.around),
    );
    [this.#clock, this.#client] = this.#boot();
  }

  get client(): Todoku {
    return this.#client;
  }

  get clock(): ProcessClock {
    return this.#clock;
  }

  /** The page is gone from one moment to the next, and comes back. */
  reload(): void {
    const { journal, dice, time } = this.#options.around;
    if (!this.#clock.alive) return;
    journal.note(() => `${this.name} is reloaded`);
    this.#clock.die();
    for (const connection of this.#connections) connection.loseClient(dice.chance(0.8));
    this.#connections.clear();
    for (const subscriber of this.subscribers) subscriber.lost();
    time.after(dice.between(0, 2000), () => {
      [this.#clock, this.#client] = this.#boot();
      for (const reloaded of this.#whenReloaded.splice(0)) reloaded();
    });
  }

  /** The application cuts the connection, and wants it again after a while. */
  disconnect(): void {
    const { journal, dice } = this.#options.around;
    const client = this.#client;
    if (!this.#clock.alive) return;
    journal.note(() => `${this.name} disconnects`);
    client.disconnect();
    this.#clock.after(dice.between(0, 4000), () => {
      client.connect().catch((error: unknown) => journal.note(() => `${this.name}: ${String(error)}`));
    });
  }

  /** Rejects when the device has been reloaded: nobody waits for anything any more that began before. */
  reloaded(): Promise<never> {
    return new Promise((_, reject) => this.#whenReloaded.push(() => reject(new Error(`${this.name} was reloaded`))));
  }

  /** Closes the client in good order. Nothing may be left of it. */
  async close(): Promise<void> {
    const { findings } = this.#options.around;
    await this.#client.close();
    if (this.#clock.waiting > 0)
      findings.add("I10", `${this.name} closed, and left ${this.#clock.waiting} timers behind`);
    this.#clock.die();
  }

  #boot(): [ProcessClock, Todoku] {
    const { around, user, name, stores } = this.#options;
    const { time, dice, journal } = around;
    const clock = new ProcessClock(time, dice.split());
    const client = new Todoku("ws://simulated", {
      data: { user },
      name,
      clock,
      ...(stores && { cursors: this.#storage }),
      WebSocket: webSocketOf(name, around.network, clock, (connection) => this.#connections.add(connection)),
    });
    client.on("error", (error) => journal.note(() => `${name}: ${error.message}`));
    for (const subscriber of this.subscribers) subscriber.boot(client, clock);
    return [clock, client];
  }
}

/** Loses the last write to each key. */
function forgetful(store: CursorStore): CursorStore {
  const last = new Map<string, Position>();
  return {
    get: (key) => store.get(key),
    set: async (key, position) => {
      const before = last.get(key);
      last.set(key, position);
      if (before) await store.set(key, before);
    },
    delete: (key) => store.delete(key),
  };
}
