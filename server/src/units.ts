/** Durations, sizes and rates as people write them in a configuration. Output: milliseconds, bytes, counts. */
import { z } from "zod";

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { B: 1, KB: 1000, MB: 1_000_000, GB: 1_000_000_000, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

/** A token bucket: `count` operations per `perMs`. */
export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

/** Delays between attempts: the first, doubling up to the last. */
export interface Backoff {
  readonly firstMs: number;
  readonly lastMs: number;
}

/** `250ms`, `25s`, `10m`, `24h`, `7d` → milliseconds; undefined if it is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  return match ? Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS] : undefined;
}

/** `64KiB`, `1MB`, `512B` or a plain number → bytes; undefined if it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(B|KB|MB|GB|KiB|MiB|GiB)?$/.exec(text);
  return match ? Math.round(Number(match[1]) * BYTES[(match[2] ?? "B") as keyof typeof BYTES]) : undefined;
}
