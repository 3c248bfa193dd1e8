/**
 * The Storage contract: what the platform asks of a database that keeps what the logs may forget.
 *
 * The log stays the truth. A storage is filled from it by an archiver, behind everybody's back: it may lag, it may be away, and
 * it is only asked for what the log no longer has. Like a backbone, it only talks to its database.
 */
import type { Epoch, Position } from "@todoku/protocol";
import type { StoredMessage } from "../backbones/contract.ts";

/** How far a channel is archived. */
export interface Standing extends Position {
  readonly channel: string;
}

/**
 * A stretch of a channel's log: everything in (`after`, `upTo`] of its epoch. What lies between the channel's standing and `after`
 * is missed for good.
 */
export interface Stretch extends Epoch {
  readonly channel: string;
  readonly after: number;
  readonly upTo: number;
  readonly messages: readonly StoredMessage[];
}

export interface ArchiveReadOptions {
  /** Exclusive. Forward: only what is above; in reverse, only what is below. */
  readonly after: number;
  /** At most so many, ≥ 1. */
  readonly limit: number;
  /** Stop after the message whose data exceeds this sum of UTF-8 bytes; at least one message is returned. */
  readonly maxBytes?: number;
  readonly reverse?: boolean;
}

/** A part of what was archived, gapless between its ends. */
export interface Kept {
  /** In the order asked for. */
  readonly messages: readonly StoredMessage[];
  /** Lower end, exclusive: what lies between it and the place asked for is not archived. */
  readonly from: number;
  /** Upper end, inclusive. Not above `from`: nothing is archived there. */
  readonly to: number;
}

/** The sole right to archive something, among all processes that share the storage. */
export interface Duty {
  /** Resolves when the right is lost, to somebody else perhaps. */
  readonly lost: Promise<void>;
  giveUp(): Promise<void>;
}

/**
 * - `open` resolves also when the database cannot be reached: it is tried again with every call. It rejects with a `BackboneError`
 *   `invalid` for what a person must look at.
 * - Calls reject with a `BackboneError`; `unavailable` where the database cannot be reached.
 * - `write` stores all stretches or none. A message that is there already, at the same channel, epoch and offset, is not stored
 *   twice, whoever writes it and however often. It may be called by somebody who has lost the duty and does not know it yet.
 * - `read` finds a message under the epoch in which it was archived, as far as the asker's epoch goes on with that one.
 * - `remove` forgets everything of a channel up to a position, and takes nothing of it any more.
 */
export interface Storage {
  readonly type: string;
  open(): Promise<void>;
  close(): Promise<void>;
  /** Resolves while the database answers. */
  check(): Promise<void>;
  /** How far these channels are archived, in the order asked for; undefined for those that never were. */
  standings(channels: readonly string[]): Promise<readonly (Standing | undefined)[]>;
  write(stretches: readonly Stretch[]): Promise<void>;
  read(channel: string, epoch: Epoch, options: ArchiveReadOptions): Promise<Kept>;
  remove(channel: string, upTo: Position): Promise<void>;
  /** Forgets what is older than `time` (ms since 1970), as far as that is cheap. */
  forget(time: number): Promise<void>;
  /** Takes a duty, unless somebody has it. */
  take(duty: string): Promise<Duty | undefined>;
}
