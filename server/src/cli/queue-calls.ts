/** What the API answers about queues, as the commands read it. */
import { z } from "zod";
import type { Json } from "@todoku/protocol";

export const queueInfo = z.object({
  paused: z.boolean(),
  jobs: z.int(),
  groups: z.array(
    z.object({
      group: z.string(),
      ready: z.int(),
      leased: z.int(),
      delayed: z.int(),
      dead: z.int(),
      oldest_age_ms: z.int().optional(),
    }),
  ),
});

export const deadLetters = z.object({
  dead_letters: z.array(
    z.looseObject({
      id: z.string(),
      group: z.string(),
      attempts: z.int(),
      time: z.int(),
      reason: z.string(),
      job: z.looseObject({
        id: z.string(),
        time: z.int(),
        data: z.custom<Json>((value) => value !== undefined),
        tags: z.record(z.string(), z.string()).optional(),
      }),
    }),
  ),
});

export const counted = z.object({ count: z.int() });
export const nothing = z.object({});
