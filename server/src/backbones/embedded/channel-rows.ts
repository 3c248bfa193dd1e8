/** The channels' rows. Each is read and written once in a transaction, however many of the channel's messages come in it. */
import type { Database, RootDatabase } from "lmdb";
import type { Retention } from "../contract.ts";

export interface ChannelRow {
  /** Offset of the newest message. Offsets are contiguous: the messages after `trimmed` up to here are kept. */
  head: number;
  trimmed: number;
  /** Of `data`. */
  bytes: number;
  /** When the sweep looks at the channel next, in ms since 1970; 0: never. */
  due: number;
  retention: Retention;
}

/** On disk: `[head, trimmed, bytes, due, ageMs, messages, most bytes]`. */
type StoredRow = [number, number, number, number, number | null, number | null, number | null];

/** Rows that were written lately are remembered, up to twice so many. */
export const REMEMBERED = 16_384;

export class ChannelRows {
  readonly #table: Database<StoredRow, string>;
  readonly #changed = new Map<string, ChannelRow>();
  #recent = new Map<string, ChannelRow>();
  /** What was recent before; what is not used again is forgotten with it. */
  #older = new Map<string, ChannelRow>();

  constructor(root: RootDatabase<unknown, string>) {
    this.#table = root.openDB({ name: "channels" });
  }

  get table(): Pick<Database, "getStats"> {
    return this.#table;
  }

  get(channel: string): Readonly<ChannelRow> | undefined {
    const known = this.#recent.get(channel) ?? this.#older.get(channel);
    if (known) return known;
    const stored = this.#table.get(channel);
    return stored && fromStored(stored);
  }

  /** A channel's row within a transaction, or one for a channel that has none yet. A change of it needs a `put`. */
  open(channel: string): ChannelRow {
    const recent = this.#recent.get(channel);
    if (recent) return recent;
    const row = this.get(channel) ?? { head: 0, trimmed: 0, bytes: 0, due: 0, retention: {} };
    this.#recent.set(channel, row);
    return row;
  }

  put(channel: string, row: ChannelRow): void {
    this.#changed.set(channel, row);
  }

  /** The last of a transaction. */
  store(): void {
    for (const [channel, row] of this.#changed) this.#table.putSync(channel, toStored(row));
    this.#changed.clear();
    if (this.#recent.size <= REMEMBERED) return;
    this.#older = this.#recent;
    this.#recent = new Map();
  }

  /** A transaction came to nothing: what is remembered was never stored. */
  forget(): void {
    for (const rows of [this.#changed, this.#recent, this.#older]) rows.clear();
  }

  /** From a name on, in the order of the names. Not within a transaction that has changed some. */
  *from(start: string): Iterable<readonly [channel: string, row: Readonly<ChannelRow>]> {
    for (const { key, value } of this.#table.getRange({ start })) yield [key, fromStored(value)];
  }
}

function toStored({ head, trimmed, bytes, due, retention }: ChannelRow): StoredRow {
  const { ageMs = null, messages = null, bytes: mostBytes = null } = retention;
  return [head, trimmed, bytes, due, ageMs, messages, mostBytes];
}

function fromStored([head, trimmed, bytes, due, ageMs, messages, mostBytes]: StoredRow): ChannelRow {
  const retention = {
    ...(ageMs !== null && { ageMs }),
    ...(messages !== null && { messages }),
    ...(mostBytes !== null && { bytes: mostBytes }),
  };
  return { head, trimmed, bytes, due, retention };
}
