/** How far a channel is archived, which parts of it are, and what a stretch adds to that. Offsets only: no database. */
import type { Epoch } from "@todoku/protocol";
import type { Stretch } from "../contract.ts";

/** A row of the table `standings`. */
export interface StandingRow {
  readonly channel: string;
  readonly epoch: string;
  readonly epochs: readonly string[];
  readonly first: string;
  readonly last: string;
}

/** Offsets in (`from`, `to`]. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

/** A stretch, and where its channel stands with it. */
export interface Written {
  readonly stretch: Stretch;
  readonly epochs: readonly string[];
  readonly first: number;
  readonly last: number;
  readonly gap?: Part;
}

export function onto(standing: StandingRow | undefined, stretch: Stretch): Written | undefined {
  const { epoch, after, upTo } = stretch;
  const last = standing && sharedUpTo(standing, stretch);
  if (standing === undefined) return { stretch, epochs: [epoch], first: after, last: upTo };
  if (last === undefined) {
    // Not from somebody slow, who has not seen yet that the log goes on in a newer epoch.
    return standing.epochs.includes(epoch) ? undefined : { stretch, epochs: [epoch], first: after, last: upTo };
  }
  return {
    stretch,
    epochs: [...new Set([...standing.epochs, epoch])],
    first: Number(standing.first),
    last: Math.max(last, upTo),
    ...(after > last && { gap: { from: last, to: after } }),
  };
}

/** How far what was archived is also the history of this epoch; undefined where they have nothing in common. */
export function sharedUpTo({ epoch, last }: StandingRow, asked: Epoch): number | undefined {
  const bound = boundOf(epoch, asked);
  return bound === undefined ? undefined : Math.min(Number(last), bound);
}

export function boundOf(epoch: string, asked: Epoch): number | undefined {
  if (epoch === asked.epoch) return Number.MAX_SAFE_INTEGER;
  return asked.forks?.find((fork) => fork.epoch === epoch)?.offset;
}

/** The first part above `from` that has no gap. */
export function above(gaps: readonly Part[], from: number, to: number): Part {
  let begin = from;
  for (const gap of gaps) {
    if (gap.to <= begin) continue;
    if (gap.from > begin) return { from: begin, to: Math.min(to, gap.from) };
    begin = gap.to;
  }
  return { from: begin, to };
}

/** The last part up to `to` that has no gap. */
export function below(gaps: readonly Part[], from: number, to: number): Part {
  let end = to;
  for (const gap of gaps.toReversed()) {
    if (gap.from >= end) continue;
    if (gap.to < end) return { from: Math.max(from, gap.to), to: end };
    end = gap.from;
  }
  return { from, to: end };
}
