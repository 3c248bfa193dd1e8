import { slotOf } from "./slot.ts";

const SLOTS = 16_384;

/**
 * Hash tags whose slots are spread evenly over all slots, so that each shard of a Cluster has its share of them: the first
 * in each of `count` equal stretches. The same everywhere.
 */
export function spreadTags(count: number): readonly string[] {
  const tags: (string | undefined)[] = Array.from({ length: count });
  for (let candidate = 0, found = 0; found < count; candidate++) {
    const tag = candidate.toString(36);
    const stretch = Math.floor((slotOf(tag) * count) / SLOTS);
    if (tags[stretch] !== undefined) continue;
    tags[stretch] = tag;
    found++;
  }
  return tags.map((tag) => tag ?? "");
}
