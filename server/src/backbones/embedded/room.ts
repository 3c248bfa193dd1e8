/**
 * Whether there is room for what is to be written. It is asked before, because LMDB must not meet a full disk: its Node
 * binding writes its own error message beyond the end of a buffer then, and may end the process. A part of the disk is left
 * alone, so that removing what is too old, which needs a little space as well, always finds some.
 */
import { statfsSync } from "node:fs";
import { BackboneError } from "../contract.ts";
import type { Store } from "./store.ts";

/** Left alone: so many bytes of the disk, or this part of a small one. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const RESERVE_PART = 1 / 16;
/** What a message takes beside its data: its place in the tables, and pages that are copied on the way. */
const OVERHEAD_BYTES = 8192;

export interface RoomLimits {
  /** The backbone's name. */
  readonly name: string;
  readonly folder: string;
  /** Most bytes that the tables may take. */
  readonly maxSize: number | undefined;
}

export class Room {
  readonly #store: Store;
  readonly #limits: RoomLimits;
  #left: { allowed: number; disk: number } | undefined;

  constructor(store: Store, limits: RoomLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** A transaction begins: what there was is measured anew, once, when it is asked for. */
  forget(): void {
    this.#left = undefined;
  }

  /** @throws BackboneError `full` when there is none for a message with so many bytes of data. */
  take(bytes: number): void {
    const { name, folder, maxSize } = this.#limits;
    this.#left ??= this.#measure();
    if (this.#left.allowed < bytes) {
      throw new BackboneError(
        "full",
        `[${name}] the log takes ${maxSize} bytes, as many as it may. ` +
          `Raise backbones.${name}.max_size, or keep less: shorten retention.age`,
      );
    }
    if (this.#left.disk < bytes + OVERHEAD_BYTES) {
      throw new BackboneError(
        "full",
        `[${name}] the disk of ${folder} is full but for what is kept free to work with. Free some space on it`,
      );
    }
    this.#left.allowed -= bytes;
    this.#left.disk -= bytes + OVERHEAD_BYTES;
  }

  #measure(): { allowed: number; disk: number } {
    const { folder, maxSize } = this.#limits;
    const { bavail, blocks, bsize } = statfsSync(folder);
    const free = bavail * bsize - Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_PART);
    // What the file has of its own is only counted where it matters: looking through the tables takes longer.
    const plenty = free > RESERVE_BYTES;
    if (plenty && maxSize === undefined) return { allowed: Number.POSITIVE_INFINITY, disk: free };
    const { used, unused } = this.#store.sizes();
    return { allowed: maxSize === undefined ? Number.POSITIVE_INFINITY : maxSize - used, disk: free + unused };
  }
}
