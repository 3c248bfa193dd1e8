/** The older epochs that a store goes on with, and up to which offset each channel shares their history. */
import type { Database, RootDatabase } from "lmdb";
import type { Position } from "../contract.ts";
import type { ChannelRows } from "./channel-rows.ts";

/** Older epochs that are remembered. Who comes from one that is older is told of a gap. */
export const MOST_FORKS = 20;

/** What an offset takes at most, and what a row does beside its name and its offsets. */
const OFFSET_BYTES = 9;
const ROW_BYTES = 32;

/**
 * By channel, for the last of the older epochs: a row begins with the first fork that found the channel, and of what is older
 * nothing is shared. So a channel without a row shares nothing.
 */
type ForkTable = Database<readonly number[], string>;

export class ForkRows {
  readonly #root: RootDatabase<unknown, string>;
  /** Oldest first. */
  readonly #epochs: readonly string[];
  /** Absent in a store that has no older epoch: nothing is looked up there. */
  readonly #table: ForkTable | undefined;

  constructor(root: RootDatabase<unknown, string>, epochs: readonly string[]) {
    this.#root = root;
    this.#epochs = epochs;
    this.#table = epochs.length > 0 ? tableIn(root) : undefined;
  }

  get tables(): readonly Pick<Database, "getStats">[] {
    return this.#table ? [this.#table] : [];
  }

  /** Of a channel; undefined where the store has no older epoch. */
  of(channel: string): readonly Position[] | undefined {
    if (!this.#table) return undefined;
    const offsets = this.#table.get(channel) ?? [];
    const unshared = this.#epochs.length - offsets.length;
    return this.#epochs.map((epoch, i) => ({ epoch, offset: offsets[i - unshared] ?? 0 }));
  }

  /** Bytes that the rows take at most after one more fork. */
  sizeOfNext(channels: ChannelRows): number {
    const rowBytes = ROW_BYTES + (this.#epochs.length + 1) * OFFSET_BYTES;
    let bytes = 0;
    for (const [channel] of channels.from("")) bytes += Buffer.byteLength(channel) + rowBytes;
    return bytes;
  }

  /** Prepares one more fork, from the epoch that is the present one. `store` is called within a transaction; returns for how many channels. */
  next(epoch: string): { readonly epochs: readonly string[]; store(channels: ChannelRows): number } {
    const table = this.#table ?? tableIn(this.#root);
    return {
      epochs: [...this.#epochs, epoch].slice(-MOST_FORKS),
      store: (channels) => {
        let count = 0;
        for (const [channel, { head }] of channels.from("")) {
          if (head === 0) continue;
          // Nothing is shared beyond where the present history ends.
          const older = (table.get(channel) ?? []).map((offset) => Math.min(offset, head));
          table.putSync(channel, [...older, head].slice(-MOST_FORKS));
          count++;
        }
        return count;
      },
    };
  }
}

function tableIn(root: RootDatabase<unknown, string>): ForkTable {
  return root.openDB({ name: "forks" });
}
