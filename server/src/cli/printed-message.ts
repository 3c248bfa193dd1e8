/** A message as a line: for people with time and colours, for programs as JSON. */
import type { Json } from "@todoku/protocol";
import type { Paint } from "./paint.ts";

export interface PrintedMessage {
  readonly channel: string;
  readonly data: Json;
  readonly offset?: number | undefined;
  readonly epoch?: string | undefined;
  readonly id?: string | undefined;
  /** Milliseconds since 1970. */
  readonly time?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Who published it. */
  readonly info?: unknown;
  readonly redelivered?: boolean | undefined;
}

/** One line, with the keys always in the same order. */
export function jsonLineOf(message: PrintedMessage): string {
  const { channel, offset, epoch, id, time, data, tags, info, redelivered } = message;
  return JSON.stringify({ channel, offset, epoch, id, time, data, tags, info, redelivered });
}

/** `12:01:02.123  chat:42  17  {"text":"hi"}` */
export function lineOf(message: PrintedMessage, { dim, cyan, yellow, ...paint }: Paint): string {
  const { channel, data, offset, time, tags, redelivered } = message;
  return [
    ...(time === undefined ? [] : [dim(clockTime(time))]),
    cyan(channel),
    ...(offset === undefined ? [] : [dim(String(offset))]),
    ...(redelivered ? [yellow("again")] : []),
    coloured(data, { dim, cyan, yellow, ...paint }),
    ...Object.entries(tags ?? {}).map(([key, value]) => dim(`${visible(key)}=${visible(value)}`)),
  ].join("  ");
}

/** Local time of day with milliseconds; with the date when it is not today's. */
function clockTime(ms: number): string {
  const at = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  return at.toDateString() === new Date().toDateString() ? clock : day + clock;
}

/** JSON on one line. */
function coloured(data: Json, paint: Paint): string {
  if (typeof data === "string") return paint.green(visible(JSON.stringify(data)));
  if (typeof data !== "object" || data === null) return paint.yellow(String(data));
  if (Array.isArray(data)) return `[${data.map((one: Json) => coloured(one, paint)).join(", ")}]`;
  const entries = Object.entries(data).map(
    ([key, value]) => `${paint.bold(visible(JSON.stringify(key)))}: ${coloured(value, paint)}`,
  );
  return `{${entries.join(", ")}}`;
}

/**
 * What a terminal would obey (escape sequences of the C1 set, delete, a change of the writing direction) is shown as an
 * escape: a message must not paint over what stands beside it. JSON itself escapes the C0 set.
 */
function visible(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
