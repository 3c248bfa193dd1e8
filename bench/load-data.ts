/** Bytes of each message's data, as JSON. */
export const DATA_BYTES = 128;

/** A text that is different for each message and always has the same length. */
export function dataOf(n: number): string {
  return String(n).padStart(DATA_BYTES - 2, "0");
}
