/** What the log truly took, message by message: the model that everything a client sees is compared with. */
import type { Appended, Message, Retention } from "../../server/src/backbones/contract.ts";

export interface Entry {
  readonly offset: number;
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** JSON text. */
  readonly data: string;
  readonly key: string | undefined;
  readonly tags: Message["tags"];
}

/** One channel in one epoch. */
export class Chapter {
  readonly epoch: string;
  readonly entries: Entry[] = [];
  retention: Retention = {};
  readonly #places = new Map<number, number>();

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  get head(): number {
    return this.entries.at(-1)?.offset ?? 0;
  }

  add(entry: Entry): void {
    // Answers may overtake one another on their way back from the log.
    const before = this.entries.findLastIndex(({ offset }) => offset < entry.offset);
    this.entries.splice(before + 1, 0, entry);
    for (let i = before + 1; i < this.entries.length; i++) this.#places.set(this.entries[i]?.offset ?? 0, i);
  }

  at(offset: number): Entry | undefined {
    return this.entries[this.#places.get(offset) ?? -1];
  }

  /** The first message after `offset`. */
  after(offset: number): Entry | undefined {
    const place = this.#places.get(offset);
    return place === undefined ? this.entries.find((entry) => entry.offset > offset) : this.entries[place + 1];
  }

  /** Whether retention allows that this message is gone at `now`. */
  mayBeGone(offset: number, now: number): boolean {
    const entry = this.at(offset);
    if (!entry) return true;
    const { ageMs, messages } = this.retention;
    const newer = this.entries.length - 1 - (this.#places.get(offset) ?? 0);
    return (messages !== undefined && newer >= messages) || (ageMs !== undefined && now - entry.time > ageMs);
  }
}

export class Ledger {
  /** In the order in which they came. */
  readonly epochs: string[] = [];
  readonly #chapters = new Map<string, Map<string, Chapter>>();

  /** The epoch in which appends are stored now. */
  get epoch(): string {
    return this.epochs.at(-1) ?? "";
  }

  /** The log has opened with this epoch, perhaps the same as before. */
  opened(epoch: string): void {
    if (epoch !== this.epoch) this.epochs.push(epoch);
  }

  chapter(channel: string, epoch: string): Chapter {
    const ofChannel = this.#chapters.get(channel) ?? new Map<string, Chapter>();
    this.#chapters.set(channel, ofChannel);
    const chapter = ofChannel.get(epoch) ?? new Chapter(epoch);
    ofChannel.set(epoch, chapter);
    return chapter;
  }

  /** What has a history of this channel, oldest first. */
  chapters(channel: string): readonly Chapter[] {
    return [...(this.#chapters.get(channel)?.values() ?? [])];
  }

  get channels(): readonly string[] {
    return [...this.#chapters.keys()];
  }

  /** Whether a message with this tag was ever stored on the channel. */
  hasTag(channel: string, name: string, value: string): boolean {
    return this.chapters(channel).some(({ entries }) => entries.some(({ tags }) => tags?.[name] === value));
  }

  store(
    channel: string,
    { id, time, data, tags }: Message,
    at: Appended,
    key: string | undefined,
    kept: Retention,
  ): void {
    const chapter = this.chapter(channel, at.epoch);
    chapter.retention = kept;
    chapter.add({ offset: at.offset, id, time, data, key, tags });
  }
}
