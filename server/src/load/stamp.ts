/**
 * What a measured message says: its number in its channel and the moment when it was due, filled up to the wanted size. So
 * who receives it can tell what is missing, repeated or damaged, and how late it is.
 */

const SEQUENCE_DIGITS = 10;
const TIME_DIGITS = 16;
const FILL = "x";

/** Bytes of the smallest message, as JSON. */
export const LEAST_BYTES: number = SEQUENCE_DIGITS + TIME_DIGITS + 4;

export interface Stamp {
  /** Counted from 0 in each channel. */
  readonly sequence: number;
  /** When it was due: µs of the clock of `monotonicMicroseconds`. */
  readonly due: number;
}

/** A text that takes `bytes` bytes as JSON, quotes included. */
export function stamped({ sequence, due }: Stamp, bytes: number): string {
  const head = `${String(sequence).padStart(SEQUENCE_DIGITS, "0")}.${String(Math.floor(due)).padStart(TIME_DIGITS, "0")}.`;
  return head.padEnd(bytes - 2, FILL);
}

const FORM = new RegExp(`^(\\d{${SEQUENCE_DIGITS}})\\.(\\d{${TIME_DIGITS}})\\.(${FILL}*)$`);

/** What the text says; undefined for one that is not of `bytes` bytes and whole. */
export function readStamp(text: unknown, bytes: number): Stamp | undefined {
  if (typeof text !== "string" || text.length !== bytes - 2) return undefined;
  const [, sequence, due] = FORM.exec(text) ?? [];
  return sequence === undefined ? undefined : { sequence: Number(sequence), due: Number(due) };
}

/** A clock that all processes of a machine share and nobody sets. */
export function monotonicMicroseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1000;
}
