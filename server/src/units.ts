/** Durations, sizes and rates as people write them in a configuration. Output: milliseconds, bytes, counts. */
import { z } from "zod";

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = {
  B: 1,
  KB: 1000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
} as const;

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|KB|MB|GB|KiB|MiB|GiB)$/;
const RATE = /^(\d+)\/(s|m|h)$/;
const BACKOFF = /^(\d+(?:\.\d+)?(?:ms|s|m|h|d))\.\.(\d+(?:\.\d+)?(?:ms|s|m|h|d))$/;

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
  const [, count, unit] = DURATION.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * MILLISECONDS[unit as keyof typeof MILLISECONDS];
}

/** `64KiB`, `1MB`, `512B` → bytes; undefined if it is none. */
export function parseBytes(text: string): number | undefined {
  const [, count, unit] = SIZE.exec(text) ?? [];
  return count === undefined ? undefined : Math.round(Number(count) * BYTES[unit as keyof typeof BYTES]);
}

/** `50/s`, `600/m` → a rate; undefined if it is none. */
export function parseRate(text: string): Rate | undefined {
  const [, count, unit] = RATE.exec(text) ?? [];
  return count === undefined
    ? undefined
    : { count: Number(count), perMs: MILLISECONDS[unit as keyof typeof MILLISECONDS] };
}

/** Milliseconds → the shortest way to write them. */
export function formatDuration(ms: number): string {
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (ms >= MILLISECONDS[unit] && ms % MILLISECONDS[unit] === 0) return `${ms / MILLISECONDS[unit]}${unit}`;
  }
  return `${ms}ms`;
}

function unit<T>(pattern: RegExp, example: string, parse: (text: string) => T) {
  return z.string().regex(pattern, `must be written like ${example}`).transform(parse);
}

const durationUnit = unit(DURATION, "250ms, 30s, 10m, 24h or 7d", (text) => parseDuration(text) ?? 0);
const sizeUnit = unit(SIZE, "512B, 64KiB or 1MiB", (text) => parseBytes(text) ?? 0);
const rateUnit = z.union([z.literal("off").transform(() => undefined), unit(RATE, "50/s, 600/m or off", parseRate)]);
const backoffUnit = unit(BACKOFF, "1s..5m", (text): Backoff => {
  const [first = "", last = ""] = text.split("..");
  return { firstMs: parseDuration(first) ?? 0, lastMs: parseDuration(last) ?? 0 };
}).refine(({ firstMs, lastMs }) => firstMs > 0 && firstMs <= lastMs, "must go from a shorter to a longer delay");

/** A duration that has no default. */
export const optionalDuration = durationUnit.optional();
/** A size that has no default. */
export const optionalBytes = sizeUnit.optional();

/** A duration in milliseconds. */
export function duration(standard: string) {
  return durationUnit.prefault(standard);
}

/** A size in bytes. */
export function bytes(standard: string) {
  return sizeUnit.prefault(standard);
}

/** A rate; undefined when it is `off`. */
export function rate(standard: string) {
  return rateUnit.prefault(standard);
}

/** Delays between attempts. */
export function backoff(standard: string) {
  return backoffUnit.prefault(standard);
}
