import { murmur2 } from "@platformatic/kafka";

/** The partition of a channel: as Kafka's own Java clients choose it, so that their records of a channel lie where ours lie. */
export function partitionOf(channel: string, partitions: number): number {
  // The client's own default takes the sign bit along, and comes to other partitions.
  return (murmur2(Buffer.from(channel)) & 0x7fffffff) % partitions;
}
