/**
 * The connection to the process that owns a store: calls and their answers, and a new connection when it breaks. The owner
 * may be killed and started again at any moment; whoever calls meanwhile hears at once that nothing happened.
 */
import { connect, type Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { BackboneError } from "../contract.ts";
import { Lines } from "./lines.ts";
import { CALLS, WIRE, type Call, type Item } from "./wire.ts";

/** No call waits longer for its answer. */
const PATIENCE_MS = 5000;
const SWEEP_MS = 500;
const RETRY_FIRST_MS = 25;
const RETRY_LAST_MS = 500;
/** What may be unanswered, in characters and calls; beyond it calls are refused. */
const MOST_CHARS = 64 * 1024 * 1024;
const MOST_CALLS = 200_000;

interface Pending {
  readonly call: Call;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: BackboneError) => void;
  readonly at: number;
  readonly chars: number;
}

export interface LinkEvents {
  /** A connection stands: what is to hold for as long as it does must be said again. */
  readonly connected: () => void;
  /** What the owner says by itself. */
  readonly told: (item: Item) => void;
}

export class Link {
  readonly #name: string;
  readonly #place: string;
  readonly #clock: Clock;
  readonly #events: LinkEvents;
  /** In the order of the calls. */
  readonly #pending = new Map<number, Pending>();
  #pendingChars = 0;
  #count = 0;
  #socket: Socket | undefined;
  /** Absent until the owner has greeted. */
  #lines: Lines | undefined;
  #retryMs = RETRY_FIRST_MS;
  #cancelRetry: (() => void) | undefined;
  #cancelSweep: (() => void) | undefined;
  #opening: { readonly resolve: () => void; readonly reject: (error: BackboneError) => void } | undefined;
  #state: "new" | "open" | "closed" = "new";
  #drained: (() => void) | undefined;

  /** `place` is the path of the owner's socket. */
  constructor(name: string, place: string, clock: Clock, events: LinkEvents) {
    this.#name = name;
    this.#place = place;
    this.#clock = clock;
    this.#events = events;
  }

  /** Resolves when the owner has greeted; it may be about to start. */
  async open(): Promise<void> {
    this.#state = "open";
    this.#sweepLater();
    const late = this.#clock.after(PATIENCE_MS, () => this.#opening?.reject(this.#unavailable("does not answer")));
    try {
      await new Promise<void>((resolve, reject) => {
        this.#opening = { resolve, reject };
        this.#connect();
      });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      late();
      this.#opening = undefined;
    }
  }

  /** Lets the calls that are under way be answered. */
  async close(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closed";
    this.#cancelRetry?.();
    if (this.#pending.size > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
    this.#cancelSweep?.();
    const socket = this.#socket;
    if (!socket || socket.destroyed) return;
    await new Promise((resolve) => {
      socket.once("close", resolve);
      socket.destroy();
    });
  }

  /** Rejects with the owner's own `BackboneError`, or one of this side's. */
  call<T>(call: Call, ...given: readonly unknown[]): Promise<T> {
    if (this.#state !== "open")
      return Promise.reject(new BackboneError("unavailable", `[${this.#name}] the backbone is closed`));
    const lines = this.#lines;
    if (!lines) return Promise.reject(this.#unavailable("cannot be reached"));
    if (this.#pending.size >= MOST_CALLS || this.#pendingChars + lines.waiting > MOST_CHARS)
      return Promise.reject(this.#unavailable("has more to do than it can"));
    const id = this.#count++;
    const item = JSON.stringify([id, call, ...given]);
    lines.add(item);
    return new Promise<unknown>((resolve, reject) => {
      this.#pendingChars += item.length;
      this.#pending.set(id, { call, resolve, reject, at: this.#clock.now(), chars: item.length });
    }) as Promise<T>;
  }

  /** Ends the connection, and makes another. */
  reset(): void {
    this.#socket?.destroy();
  }

  #connect(): void {
    const socket = connect(this.#place);
    this.#socket = socket;
    const lines = new Lines(socket, this.#clock, (items) => {
      for (const item of items) this.#hear(item, lines);
    });
    socket.on("error", () => {});
    socket.once("close", () => this.#lost());
  }

  #hear(item: Item, lines: Lines): void {
    const [first, second] = item;
    if (typeof first === "number") this.#answered(first, item);
    else if (first !== "store") this.#events.told(item);
    else if (second === WIRE) {
      this.#lines = lines;
      this.#retryMs = RETRY_FIRST_MS;
      this.#opening?.resolve();
      this.#events.connected();
    } else {
      const versions = `speaks version ${String(second)} of its wire, this process ${WIRE}. Restart all of todoku`;
      this.#opening?.reject(
        new BackboneError("invalid", `[${this.#name}] the process that owns the store ${versions}`),
      );
      this.reset();
    }
  }

  #answered(id: number, [, result, reason, message]: Item): void {
    const pending = this.#take(id);
    if (!pending) return;
    if (typeof reason === "string") {
      pending.reject(new BackboneError(reason as BackboneError["reason"], String(message)));
    } else {
      // Nothing (`undefined`) is said as null.
      pending.resolve(result === null ? undefined : result);
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined;
    this.#pending.delete(id);
    this.#pendingChars -= pending.chars;
    if (this.#pending.size === 0) this.#drained?.();
    return pending;
  }

  #lost(): void {
    this.#lines = undefined;
    for (const id of this.#pending.keys()) this.#giveUp(id, "went away");
    if (this.#state !== "open") return;
    // A little apart from each other: all processes lose their owner at once.
    const wait = this.#retryMs * (0.5 + 0.5 * this.#clock.random());
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LAST_MS);
    this.#cancelRetry = this.#clock.after(wait, () => this.#connect());
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#clock.after(SWEEP_MS, () => {
      const oldest = this.#clock.now() - PATIENCE_MS;
      for (const [id, { at }] of this.#pending) {
        if (at > oldest) break;
        this.#giveUp(id, `did not answer within ${PATIENCE_MS} ms`);
      }
      if (this.#state === "open" || this.#pending.size > 0) this.#sweepLater();
    });
  }

  #giveUp(id: number, why: string): void {
    const pending = this.#take(id);
    if (!pending) return;
    const reason = CALLS[pending.call] === "effect" ? "unknown" : "unavailable";
    pending.reject(
      new BackboneError(reason, `[${this.#name}] ${pending.call}: the process that owns the store ${why}`),
    );
  }

  #unavailable(why: string): BackboneError {
    return new BackboneError("unavailable", `[${this.#name}] the process that owns the store ${why}`);
  }
}
