/** What a position means after the epoch has changed. */
import type { Position } from "./frames.ts";

/**
 * The present epoch of a channel's log, and the older ones whose history it goes on with: positions of a fork's epoch up to
 * its offset mean the same offset in the present one.
 */
export interface Epoch {
  readonly epoch: string;
  readonly forks?: readonly Position[];
}

/** Up to where the epoch of an older position has the same history as the present one; 0 where they share none. */
export function sharedHistory(position: Position, { forks = [] }: Epoch): number {
  return forks.find((fork) => fork.epoch === position.epoch)?.offset ?? 0;
}

/** The place in the present epoch that a position means; undefined where it means none. */
export function inEpoch(position: Position, present: Epoch): Position | undefined {
  if (position.epoch === present.epoch) return position;
  const fork = (present.forks ?? []).find(({ epoch }) => epoch === position.epoch);
  return fork && position.offset <= fork.offset ? { epoch: present.epoch, offset: position.offset } : undefined;
}
