/** The partition of a channel: as Kafka's own Java clients choose it, so that their records of a channel lie where ours lie. */
export function partitionOf(channel: string, partitions: number): number {
  return (murmur2(Buffer.from(channel)) & 0x7fffffff) % partitions;
}

const SEED = 0x9747b28c;
const FACTOR = 0x5bd1e995;

/** The client library has one too, whose bigints grow with the name. */
function murmur2(bytes: Buffer): number {
  let hash = SEED ^ bytes.length;
  const whole = bytes.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    const four = Math.imul(bytes.readInt32LE(at), FACTOR);
    hash = Math.imul(hash, FACTOR) ^ Math.imul(four ^ (four >>> 24), FACTOR);
  }
  if (whole < bytes.length) {
    for (let at = whole; at < bytes.length; at++) hash ^= (bytes[at] ?? 0) << (8 * (at - whole));
    hash = Math.imul(hash, FACTOR);
  }
  hash = Math.imul(hash ^ (hash >>> 13), FACTOR);
  return hash ^ (hash >>> 15);
}
