/** The settings of Redis Streams beyond the connection. */
import { formatDuration } from "../../../units.ts";
import type { Confirm } from "../capabilities.ts";
import type { RedisConnection } from "../settings.ts";
import type { Confirmation } from "./script-calls.ts";

export interface RedisStreamsSettings extends RedisConnection {
  /** Default: `disk` for one server, `replicas` for Sentinels and a Cluster. */
  readonly confirm?: Confirm | undefined;
  /** How many replicas confirm; default 1. */
  readonly replicas?: number | undefined;
  /** How long they may take, in ms; default 1000. */
  readonly confirm_timeout?: number | undefined;
  /** Publish what other programs add to the ingest stream. */
  readonly ingest: boolean;
  /** A cursor that is not touched for so long is forgotten, in ms. */
  readonly cursor_lifetime: number;
}

/** No call to Redis waits longer than four seconds; this leaves some of it. */
const LONGEST_CONFIRM_MS = 3000;

export function confirmOf({ confirm, cluster, sentinels }: RedisStreamsSettings): Confirm {
  return confirm ?? (cluster || sentinels ? "replicas" : "disk");
}

/** What is asked of the replicas; undefined where they need not confirm. */
export function confirmationOf(settings: RedisStreamsSettings): Confirmation | undefined {
  const { replicas = 1, confirm_timeout = 1000 } = settings;
  return confirmOf(settings) === "replicas" ? { replicas, withinMs: confirm_timeout } : undefined;
}

/** As `connectionProblems`. */
export function streamsProblems(at: string, settings: RedisStreamsSettings): readonly string[] {
  const problems: string[] = [];
  const { replicas, confirm_timeout } = settings;
  const confirm = confirmOf(settings);
  for (const [key, value] of Object.entries({ replicas, confirm_timeout })) {
    if (value !== undefined && confirm !== "replicas")
      problems.push(
        `${at}.${key} (${value}) has no effect with confirm: ${confirm}. Remove it, or set ${at}.confirm to replicas`,
      );
  }
  if (confirm_timeout !== undefined && confirm_timeout > LONGEST_CONFIRM_MS) {
    const longest = formatDuration(LONGEST_CONFIRM_MS);
    problems.push(`${at}.confirm_timeout is ${formatDuration(confirm_timeout)}. Set it to ${longest} or less`);
  }
  return problems;
}
