/**
 * Pings all connections with one timer: they are spread over as many slots as the ping interval has ticks, and each
 * tick pings one slot and looks for missing pongs in an earlier one. Nothing per connection but its place in a slot.
 */
import type { Clock } from "../clock.ts";

export interface Pinged {
  ping(): void;
  /** Called `pongMs` after `ping`, at the next tick. */
  checkPong(): void;
}

const TICK_MS = 1000;

export class Heartbeat {
  readonly #clock: Clock;
  readonly #slots: Set<Pinged>[];
  readonly #pongTicks: number;
  #tick = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, pingMs: number, pongMs: number) {
    this.#clock = clock;
    this.#slots = Array.from({ length: Math.max(2, Math.round(pingMs / TICK_MS)) }, () => new Set<Pinged>());
    this.#pongTicks = Math.min(Math.max(1, Math.ceil(pongMs / TICK_MS)), this.#slots.length - 1);
  }

  start(): void {
    this.#cancel = this.#clock.after(TICK_MS, () => {
      this.#beat();
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }

  add(pinged: Pinged): void {
    // The slot that was just served: the first ping comes after a whole interval.
    this.#slots[this.#tick % this.#slots.length]?.add(pinged);
  }

  remove(pinged: Pinged): void {
    for (const slot of this.#slots) if (slot.delete(pinged)) return;
  }

  #beat(): void {
    this.#tick++;
    const count = this.#slots.length;
    for (const pinged of this.#slots[this.#tick % count] ?? []) pinged.ping();
    for (const pinged of this.#slots[(this.#tick - this.#pongTicks + count) % count] ?? []) pinged.checkPong();
  }
}
