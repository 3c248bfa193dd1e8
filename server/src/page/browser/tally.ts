/**
 * What this tab knows about one channel, kept apart from the SDK so that it can judge it: what was sent (told by the
 * senders, not by todoku), what the handler was given, and therefore what is lost, waiting or repeated.
 */
import type { Gap } from "@todoku/client";
import type { Delivery } from "../../backbones/contract.ts";

/** How this tab stands to the channel: `cut` by the user, or `left` on purpose. */
export type Presence = "subscribing" | "subscribed" | "cut" | "left";

/** A message as the list shows it. */
export interface Arrival {
  readonly id: string;
  readonly text: string;
  readonly from: string;
  readonly offset?: number;
  /** Milliseconds between the publish and the handler. */
  readonly waitedMs?: number;
  readonly redelivered: boolean;
}

/** A publish that was accepted, as its sender told it. */
export interface Sent {
  readonly id: string;
  /** Milliseconds since 1970 at which the sender began to publish. */
  readonly at: number;
  readonly epoch?: string;
  readonly offset?: number;
}

export type Entry =
  | ({ readonly kind: "message"; readonly repeat: boolean } & Arrival)
  | { readonly kind: "failed"; readonly id: string; readonly text: string; readonly offset?: number; attempts: number }
  | { readonly kind: "lost"; readonly ids: string[] }
  | ({ readonly kind: "gap" } & Gap)
  | { readonly kind: "note"; readonly text: string };

export interface Counts {
  readonly sent: number;
  /** Different messages that the handler has handled. */
  readonly received: number;
  readonly lost: number;
  /** Times that the handler was given a message it had handled before. */
  readonly repeated: number;
  readonly gaps: number;
  /** Sent and kept, not handled yet. */
  readonly waiting: number;
  /** Given up after too many failures, kept among the dead letters. */
  readonly setAside: number;
}

/** What outlives a reload. */
export interface Remembered {
  readonly since: number;
  readonly sent: readonly Sent[];
  readonly handled: readonly (readonly [id: string, times: number])[];
  readonly lost: readonly string[];
  readonly setAside: readonly string[];
  readonly gaps: number;
  readonly entries: readonly Entry[];
}

/** The list shows, and a reload remembers, this many entries. */
const MOST_ENTRIES = 200;
/** A message of an at-most-once channel that has not come by then never will. */
const IN_FLIGHT_MS = 2000;

export class Tally {
  readonly entries: Entry[] = [];
  readonly #delivery: Delivery;
  readonly #sent = new Map<string, Sent>();
  readonly #heard = new Map<string, number>();
  readonly #handled = new Map<string, number>();
  readonly #lost = new Set<string>();
  readonly #setAside = new Set<string>();
  #since: number;
  #gaps = 0;
  #here = false;

  /** `since`: publishes begun before this moment (ms since 1970) are none of this tab's business. */
  constructor(delivery: Delivery, since: number, remembered?: Remembered) {
    this.#delivery = delivery;
    this.#since = remembered?.since ?? since;
    for (const sent of remembered?.sent ?? []) this.#sent.set(sent.id, sent);
    for (const [id, times] of remembered?.handled ?? []) this.#handled.set(id, times);
    for (const id of remembered?.lost ?? []) this.#lost.add(id);
    for (const id of remembered?.setAside ?? []) this.#setAside.add(id);
    this.#gaps = remembered?.gaps ?? 0;
    this.entries.push(...(remembered?.entries ?? []));
  }

  /** Whether the channel is subscribed to right now. */
  set here(here: boolean) {
    this.#here = here;
  }

  /** From now on everything sent before `at` that has not arrived is forgotten: nobody asked for it. */
  beginAgain(at: number): void {
    this.#since = at;
    for (const [id, sent] of this.#sent) if (sent.at < at && !this.#handled.has(id)) this.#sent.delete(id);
  }

  /** `now`: when this tab came to know of it. */
  sent(sent: Sent, now: number): void {
    if (sent.at < this.#since && !this.#handled.has(sent.id)) return;
    if (!this.#sent.has(sent.id)) this.#heard.set(sent.id, now);
    this.#sent.set(sent.id, sent);
  }

  /** The handler was given a message and has handled it. */
  arrived(arrival: Arrival): void {
    const times = this.#handled.get(arrival.id) ?? 0;
    this.#handled.set(arrival.id, times + 1);
    this.#lost.delete(arrival.id);
    this.#setAside.delete(arrival.id);
    this.#show({ kind: "message", repeat: times > 0, ...arrival });
  }

  /** The handler was given a message and threw. */
  failed({ id, text, offset }: Arrival): void {
    const last = this.entries.at(-1);
    if (last?.kind === "failed" && last.id === id) last.attempts++;
    else this.#show({ kind: "failed", id, text, attempts: 1, ...(offset !== undefined && { offset }) });
  }

  /** The SDK reports messages that cannot be delivered. */
  gap(gap: Gap): void {
    this.#gaps++;
    this.#show({ kind: "gap", ...gap });
    for (const { id, epoch, offset } of this.#sent.values()) {
      if (this.#handled.has(id) || offset === undefined) continue;
      const inside = gap.reason === "epoch" ? epoch !== gap.epoch : offset >= gap.from && offset <= gap.to;
      if (inside) (gap.reason === "failed" ? this.#setAside : this.#lost).add(id);
    }
  }

  note(text: string): void {
    this.#show({ kind: "note", text });
  }

  /** Finds what is lost by now on a channel that keeps nothing. Returns whether anything was found. */
  settle(now: number): boolean {
    if (this.#delivery !== "at-most-once") return false;
    const found = this.#missing().filter(({ id }) => !this.#here || now - (this.#heard.get(id) ?? 0) > IN_FLIGHT_MS);
    for (const { id } of found) this.#lost.add(id);
    if (found.length === 0) return false;
    const ids = found.map(({ id }) => id);
    const last = this.entries.at(-1);
    if (last?.kind === "lost") last.ids.push(...ids);
    else this.#show({ kind: "lost", ids });
    return true;
  }

  /** Whether this message is still missing. */
  isLost(id: string): boolean {
    return this.#lost.has(id);
  }

  get counts(): Counts {
    let repeated = 0;
    for (const times of this.#handled.values()) repeated += times - 1;
    return {
      sent: new Set([...this.#sent.keys(), ...this.#handled.keys()]).size,
      received: this.#handled.size,
      lost: this.#lost.size,
      repeated,
      gaps: this.#gaps,
      waiting: this.#missing().length,
      setAside: this.#setAside.size,
    };
  }

  remember(): Remembered {
    return {
      since: this.#since,
      sent: [...this.#sent.values()],
      handled: [...this.#handled],
      lost: [...this.#lost],
      setAside: [...this.#setAside],
      gaps: this.#gaps,
      entries: this.entries,
    };
  }

  #missing(): readonly Sent[] {
    return [...this.#sent.values()].filter(
      ({ id }) => !this.#handled.has(id) && !this.#lost.has(id) && !this.#setAside.has(id),
    );
  }

  #show(entry: Entry): void {
    this.entries.push(entry);
    if (this.entries.length > MOST_ENTRIES) this.entries.splice(0, this.entries.length - MOST_ENTRIES);
  }
}
