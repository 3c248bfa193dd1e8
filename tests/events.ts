/**
 * The append-only log of a run: what publishers, subscribers and the store did, in the order in which it happened. The
 * checker reads nothing else.
 */
import type { Delivery } from "../server/src/backbones/contract.ts";

export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** What a receiver saw of a message. `key` names it, as its publisher did; `data` is its content. */
export interface Seen {
  readonly key: string;
  readonly data: string;
  /** Absent on channels without a log. */
  readonly position?: Position;
  readonly prev?: number;
}

export type Event =
  /** What the channel's namespace promises. */
  | { readonly kind: "promise"; readonly channel: string; readonly delivery: Delivery }
  /** Written before the message is sent. */
  | {
      readonly kind: "publish";
      readonly publisher: string;
      readonly channel: string;
      readonly key: string;
      readonly data: string;
    }
  /** The publisher was told that it is stored (or handed over, at-most-once). */
  | {
      readonly kind: "ok";
      readonly channel: string;
      readonly key: string;
      readonly position?: Position;
      readonly duplicate: boolean;
    }
  /** The publisher was told that it is certainly not stored. */
  | { readonly kind: "failed"; readonly channel: string; readonly key: string }
  /** The publisher gave up without knowing. */
  | { readonly kind: "unknown"; readonly channel: string; readonly key: string }
  /** The subscriber is promised everything after `from`; without it (at-most-once) what is published from now on. */
  | { readonly kind: "subscribed"; readonly subscriber: string; readonly channel: string; readonly from?: Position }
  /** The handler of the subscriber was given a message. */
  | ({ readonly kind: "handled"; readonly subscriber: string; readonly channel: string } & Seen)
  /** The subscriber was told that messages are missing. */
  | {
      readonly kind: "gap";
      readonly subscriber: string;
      readonly channel: string;
      readonly from: number;
      readonly to: number;
      readonly reason: string;
    }
  /** Where a durable subscriber's cursor stood. */
  | { readonly kind: "cursor"; readonly subscriber: string; readonly channel: string; readonly position: Position }
  /** Something was broken on purpose from here on. */
  | { readonly kind: "fault"; readonly name: string }
  /** And is whole again. */
  | { readonly kind: "healed"; readonly name: string }
  /** A message of the log as it is stored at the end. */
  | ({ readonly kind: "stored"; readonly channel: string } & Seen);

interface Waiting {
  readonly holds: () => boolean;
  readonly resolve: () => void;
}

export class EventLog {
  readonly #events: Event[] = [];
  readonly #counts = new Map<Event["kind"], number>();
  readonly #waiting = new Set<Waiting>();

  get events(): readonly Event[] {
    return this.#events;
  }

  /** How many events of a kind there are. */
  count(kind: Event["kind"]): number {
    return this.#counts.get(kind) ?? 0;
  }

  append(event: Event): void {
    this.#events.push(event);
    this.#counts.set(event.kind, this.count(event.kind) + 1);
    for (const waiting of this.#waiting) if (waiting.holds()) this.#settle(waiting);
  }

  /** Resolves when `holds` answers yes (it is asked now and after each event), and at the latest when `end` aborts. */
  until(holds: () => boolean, end?: AbortSignal): Promise<void> {
    if (holds() || end?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = { holds, resolve };
      this.#waiting.add(waiting);
      end?.addEventListener("abort", () => this.#settle(waiting), { once: true });
    });
  }

  /**
   * Resolves with true when `holds` answers yes, and with false when `growing` has not grown for `stallMs`: a busy machine is slow,
   * and what it does goes on.
   */
  comes(holds: () => boolean, growing: () => number, stallMs: number): Promise<boolean> {
    const stalled = new AbortController();
    const watch = (): NodeJS.Timeout => setTimeout(() => stalled.abort(), stallMs);
    let most = growing();
    let timer = watch();
    const look = (): boolean => {
      if (growing() > most) {
        most = growing();
        clearTimeout(timer);
        timer = watch();
      }
      return holds();
    };
    return this.until(look, stalled.signal).then(() => {
      clearTimeout(timer);
      return holds();
    });
  }

  #settle(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    waiting.resolve();
  }
}
