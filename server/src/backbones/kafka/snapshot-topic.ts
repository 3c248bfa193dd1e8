/** What the snapshots of the channel index and those of queues have in common: how they are packed, told apart and read back. */
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { FollowedPartition, type Reading } from "./followed-partition.ts";
import type { Follower } from "./follower.ts";
import type { OwnTopic } from "./own-topic.ts";

/** Of reading a partition to its end. */
const TRIES = 12;

export const pack: (text: string) => Promise<Buffer> = promisify<string, Buffer>(gzip);
const unzip = promisify<Buffer, Buffer>(gunzip);

export async function unpack(packed: Buffer): Promise<string> {
  return (await unzip(packed)).toString();
}

/** The manifest in a record; undefined for what is none, and for one of another format. */
export function manifestOf<M extends { readonly format: number }>(value: Buffer, format: M["format"]): M | undefined {
  try {
    const manifest = JSON.parse(value.toString()) as M;
    return manifest.format === format ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** All that a partition of the topic has, taken by `reading` alone. @throws BackboneError when that takes too long. */
export async function readWhole<R extends Reading>(
  follower: Follower,
  snapshots: OwnTopic<R>,
  partition: number,
  reading: R,
): Promise<R> {
  const { topic } = await snapshots.follow(snapshots.lane(partition));
  const followed = new FollowedPartition({ topic, partition, from: "earliest", reading });
  try {
    for (let tries = 1; ; tries++) {
      try {
        await follower.use(followed);
        return reading;
      } catch (error) {
        if (tries === TRIES) throw error;
      }
    }
  } finally {
    follower.drop(followed);
  }
}
