/** Where the messages of the channels of one partition lie, and which records repeat an earlier one. */
import type { Meaning } from "./records.ts";

/** Offsets here are the platform's: one more than Kafka's, whose first is 0. */
export type Taken =
  | { readonly kind: "message"; readonly offset: number; readonly prev: number }
  | { readonly kind: "duplicate"; readonly offset: number; readonly of: number }
  | { readonly kind: "other"; readonly offset: number };

/** What is served of a channel. */
export interface ChannelState {
  readonly offsets: readonly number[];
  readonly head: number;
  readonly trimmed: number;
}

interface Channel {
  /** Rising; some of them may be gone from the log. */
  offsets: number[];
  head: number;
  trimmed: number;
}

interface Remembered {
  readonly offset: number;
  readonly time: number;
  readonly windowMs: number;
}

/** Clocks of brokers differ: a key is remembered so long beyond its window, though it is not recognised any more. */
const SKEW_MS = 60_000;
/** Repeats of which it is still known what they repeat. */
const MOST_REPEATS = 10_000;

export class ChannelIndex {
  readonly #channels = new Map<string, Channel>();
  readonly #keys = new Map<string, Remembered>();
  readonly #repeats = new Map<number, number>();
  readonly #positions: number;
  #forgotAfterMs: number | undefined;
  #base = 0;
  #start = 0;

  /** `positions`: how far back a repeated key is recognised. */
  constructor(positions: number) {
    this.#positions = positions;
  }

  get channels(): number {
    return this.#channels.size;
  }

  /** A message of it was taken. */
  knows(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** So long after its record a key was forgotten, for its position, though its window was not over; undefined if none ever was. */
  get forgotAfterMs(): number | undefined {
    return this.#forgotAfterMs;
  }

  /** Forgets everything: what is at or below `base` was never seen. */
  reset(base: number): void {
    this.#channels.clear();
    this.#keys.clear();
    this.#repeats.clear();
    this.#base = base;
    this.#start = base;
  }

  /** What is at or below `start` is not in the log any more. */
  trim(start: number): void {
    this.#start = Math.max(this.#start, start);
  }

  /** Takes the next record of the partition; every index that has taken the same ones answers the same. */
  take(offset: number, time: number, meaning: Meaning): Taken {
    if (meaning.kind === "remove") {
      const channel = this.#channels.get(meaning.channel);
      if (channel) {
        channel.offsets = [];
        channel.trimmed = channel.head;
      }
    }
    if (meaning.kind !== "message") return { kind: "other", offset };
    const { channel: name, key, windowMs } = meaning;
    if (key !== undefined) {
      const first = this.#remember(`${name}\n${key}`, { offset, time, windowMs });
      if (first !== undefined) {
        this.#repeats.set(offset, first);
        if (this.#repeats.size > MOST_REPEATS) forgetFirst(this.#repeats);
        return { kind: "duplicate", offset, of: first };
      }
    }
    const channel = this.#channel(name);
    const prev = channel.head;
    channel.offsets.push(offset);
    channel.head = offset;
    return { kind: "message", offset, prev };
  }

  /** The record that the one at this offset repeats. */
  repeatOf(offset: number): number | undefined {
    return this.#repeats.get(offset);
  }

  state(name: string): ChannelState {
    const channel = this.#channels.get(name);
    if (!channel) return { offsets: [], head: this.#base, trimmed: this.#base };
    this.#cut(channel);
    return { offsets: channel.offsets, head: channel.head, trimmed: channel.trimmed };
  }

  /** The channels that messages are kept of. */
  filled(): readonly string[] {
    return [...this.#channels].flatMap(([name, channel]) => {
      this.#cut(channel);
      return channel.offsets.length > 0 ? [name] : [];
    });
  }

  /** All that is known, as texts of about so many characters, for `restore` in the same order. */
  *dump(characters: number): Iterable<string> {
    let lines: string[] = [];
    let length = 0;
    const add = (line: readonly (string | number)[]): void => {
      const text = JSON.stringify(line);
      lines.push(text);
      length += text.length;
    };
    const full = (): boolean => length >= characters;
    const text = (): string => {
      const joined = lines.join("\n");
      lines = [];
      length = 0;
      return joined;
    };
    add(["index", this.#base, this.#start]);
    for (const [name, channel] of this.#channels) {
      this.#cut(channel);
      const { head, trimmed, offsets } = channel;
      // Each offset as how far it lies behind the one before: short, and alike.
      add(["channel", name, head, trimmed, ...offsets.map((offset, i) => offset - (offsets[i - 1] ?? 0))]);
      if (full()) yield text();
    }
    for (const [key, { offset, time, windowMs }] of this.#keys) {
      add(["key", key, offset, time, windowMs]);
      if (full()) yield text();
    }
    if (lines.length > 0) yield text();
  }

  /** Takes over one of the texts of `dump`. @throws Error for what is none. */
  restore(text: string): void {
    for (const line of text.split("\n")) {
      const [kind, ...rest] = JSON.parse(line) as [string, ...(string | number)[]];
      if (kind === "index") [this.#base, this.#start] = [Number(rest[0]), Number(rest[1])];
      else if (kind === "key") {
        const [key = "", offset, time, windowMs] = rest;
        this.#keys.set(String(key), { offset: Number(offset), time: Number(time), windowMs: Number(windowMs) });
      } else if (kind === "channel") {
        const [name = "", head, trimmed, ...steps] = rest;
        let at = 0;
        const offsets = steps.map((step) => (at += Number(step)));
        this.#channels.set(String(name), { offsets, head: Number(head), trimmed: Number(trimmed) });
      } else throw new Error(`a snapshot has a line of ${kind}`);
    }
  }

  #channel(name: string): Channel {
    const known = this.#channels.get(name);
    if (known) return known;
    const made: Channel = { offsets: [], head: this.#base, trimmed: this.#base };
    this.#channels.set(name, made);
    return made;
  }

  /** Removes what is not in the log any more. */
  #cut(channel: Channel): void {
    const kept = channel.offsets.findIndex((offset) => offset > this.#start);
    const gone = kept === -1 ? channel.offsets.length : kept;
    if (gone === 0) return;
    channel.trimmed = channel.offsets[gone - 1] ?? channel.trimmed;
    channel.offsets = channel.offsets.slice(gone);
  }

  /** The offset of the record that this one repeats; undefined if it is the first with its key. */
  #remember(key: string, record: Remembered): number | undefined {
    const known = this.#keys.get(key);
    // Both times are in the log, and so is the window: every reader comes to the same answer.
    if (known && record.time - known.time < record.windowMs && record.offset - known.offset <= this.#positions) {
      return known.offset;
    }
    // Deleted first, so that the oldest stay in front.
    this.#keys.delete(key);
    this.#keys.set(key, record);
    for (const [oldest, { offset, time, windowMs }] of this.#keys) {
      const [behind, age] = [record.offset - offset, record.time - time];
      if (behind <= this.#positions && age < windowMs + SKEW_MS) break;
      if (age < windowMs) this.#forgotAfterMs ??= age;
      this.#keys.delete(oldest);
    }
    return undefined;
  }
}

function forgetFirst(map: Map<number, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
