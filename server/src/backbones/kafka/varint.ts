/** Whole numbers as Kafka's records have them: zigzag, seven bits a byte, the lowest first; here up to 2^53 either way. */

/** Where in the bytes is read next. */
export interface At {
  position: number;
}

/** Zigzagged numbers below it are handled by operators of 32 bits. */
const SMALL = 2 ** 31;

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

/** In bytes. */
export function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = zigzag(value); rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Returns the position behind it. */
export function writeVarint(into: Buffer, from: number, value: number): number {
  let at = from;
  let rest = zigzag(value);
  for (; rest >= SMALL; rest = Math.floor(rest / 128)) into[at++] = (rest % 128) | 128;
  for (; rest >= 128; rest >>>= 7) into[at++] = (rest & 127) | 128;
  into[at++] = rest;
  return at;
}

/** Moves `at` behind it. Beyond the end of the bytes there are zeros. */
export function readVarint(bytes: Buffer, at: At): number {
  let byte = bytes[at.position++] ?? 0;
  let value = byte & 127;
  for (let unit = 128; byte >= 128; unit *= 128) {
    byte = bytes[at.position++] ?? 0;
    value += (byte & 127) * unit;
  }
  if (value < SMALL) return (value >>> 1) ^ -(value & 1);
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
