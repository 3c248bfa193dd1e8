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
const RATE = /^([1-9]\d{0,8})\/(s|m|h)$/;
const RATE_OR_OFF = /^(?:off|[1-9]\d{0,8}\/(?:s|m|h))$/;
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

/** Beyond it, a slip of the finger is likelier than a wish; and timers and stores calculate with what is below. */
const LONGEST_MS = 100 * 365 * MILLISECONDS.d;

/** `250ms`, `25s`, `10m`, `24h`, `7d` → milliseconds; undefined if it is none, or longer than 100 years. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  if (count === undefined) return undefined;
  const ms = Number(count) * MILLISECONDS[unit as keyof typeof MILLISECONDS];
  return ms <= LONGEST_MS ? ms : undefined;
}

/** `64KiB`, `1MB`, `512B` → bytes; undefined if it is none, or more than a number can hold exactly. */
export function parseBytes(text: string): number | undefined {
  const [, count, unit] = SIZE.exec(text) ?? [];
  if (count === undefined) return undefined;
  const bytes = Math.round(Number(count) * BYTES[unit as keyof typeof BYTES]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `50/s`, `600/m` → a rate of 1 to 999,999,999; undefined for `off` and everything else. */
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

/** The text is checked by a pattern first, so that the JSON Schema says it as well. */
function unit<T>(pattern: RegExp, example: string, parse: (text: string) => T | undefined, flaw: Flaw<T> = noFlaw) {
  return z
    .string()
    .regex(pattern, { message: `must be written like ${example}`, abort: true })
    .transform((text, context): T => {
      const value = parse(text);
      const message = value === undefined ? `is out of range; write it like ${example}` : flaw(value);
      if (value !== undefined && message === undefined) return value;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    });
}

/** What is wrong with a value that could be read. */
type Flaw<T> = (value: T) => string | undefined;
const noFlaw = (): undefined => undefined;

function durationUnit(least: string) {
  const leastMs = parseDuration(least) ?? 0;
  return unit(DURATION, "250ms, 30s, 10m, 24h or 7d", parseDuration, (ms) =>
    ms < leastMs ? `must be ${least} or longer` : undefined,
  );
}

const sizeUnit = unit(SIZE, "512B, 64KiB or 1MiB", parseBytes, (size) => (size < 1 ? "must be 1B or more" : undefined));
const rateUnit = z.string().regex(RATE_OR_OFF, "must be written like 50/s, 600/m or off").transform(parseRate);
const backoffUnit = unit(
  BACKOFF,
  "1s..5m",
  (text): Backoff | undefined => {
    const [firstMs, lastMs] = text.split("..").map(parseDuration);
    return firstMs === undefined || lastMs === undefined ? undefined : { firstMs, lastMs };
  },
  ({ firstMs, lastMs }) =>
    firstMs > 0 && firstMs <= lastMs ? undefined : "must go from a shorter to a longer delay, as in 1s..5m",
);

/** A duration that has no default; `least` or longer. */
export function optionalDuration(least = "0ms") {
  return durationUnit(least).optional();
}

/** A size that has no default. */
export const optionalBytes = sizeUnit.optional();

/** A duration in milliseconds, `least` or longer. */
export function duration(standard: string, least = "0ms") {
  return durationUnit(least).prefault(standard);
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
