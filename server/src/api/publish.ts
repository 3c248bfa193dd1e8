/** `publish` and `broadcast`. */
import { TodokuError } from "@todoku/protocol";
import { z } from "zod";
import {
  channelField,
  errorResult,
  jsonField,
  namespaceOfChannel,
  route,
  tagsField,
  type ApiContext,
  type Route,
} from "./route.ts";

const options = {
  data: jsonField,
  idempotency_key: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .meta({ description: "A repeated key stores nothing within the namespace's window." }),
  idempotency_age_ms: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "Milliseconds since the key was first sent; beyond the window the publish is refused." }),
  tags: tagsField.optional(),
  deliver_at: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "To a queue: the job is handed out from then on; milliseconds since 1970." }),
  ttl: z
    .int()
    .min(1)
    .optional()
    .meta({ description: "To a queue: the job is forgotten when nobody has taken it for so many milliseconds." }),
};

const published = z.object({
  offset: z.int().min(0).optional(),
  epoch: z.string().optional(),
  duplicate: z
    .boolean()
    .optional()
    .meta({ description: "The key was known: nothing was stored, the position is that of the first publish." }),
});

const publishRequest = z.object({ channel: channelField, ...options });

async function publishOne(
  context: ApiContext,
  {
    channel,
    data,
    idempotency_key: key,
    idempotency_age_ms: age,
    tags,
    deliver_at,
    ttl,
  }: z.output<typeof publishRequest>,
): Promise<z.input<typeof published>> {
  const namespace = namespaceOfChannel(context, channel);
  const { epoch, offset, duplicate } = await context.publisher.publish(namespace, channel, JSON.stringify(data), {
    ...(key !== undefined && { key }),
    ...(age !== undefined && { keyAgeMs: age }),
    ...(tags && { tags }),
    ...(deliver_at !== undefined && { deliverAt: deliver_at }),
    ...(ttl !== undefined && { ttlMs: ttl }),
  });
  return {
    ...(offset !== undefined && { offset }),
    ...(epoch !== undefined && { epoch }),
    ...(duplicate === true && { duplicate }),
  };
}

export const publish: Route = route({
  method: "publish",
  summary:
    "Publish to a channel, or enqueue a job. Answered when the message is stored (or handed over, at-most-once).",
  request: publishRequest,
  result: published,
  run: (context, request, { idempotencyKey }) =>
    publishOne(context, idempotencyKey === undefined ? request : { idempotency_key: idempotencyKey, ...request }),
});

export const broadcast: Route = route({
  method: "broadcast",
  summary: "Publish the same data to several channels; each has its own outcome.",
  request: z.object({ channels: z.array(channelField).min(1).max(1000), ...options }),
  result: z.object({
    responses: z.array(z.object({ result: published.optional(), error: errorResult.optional() })),
  }),
  run: async (context, { channels, ...rest }, { idempotencyKey }) => ({
    responses: await Promise.all(
      channels.map(async (channel) => {
        try {
          const keyed = idempotencyKey === undefined ? rest : { idempotency_key: idempotencyKey, ...rest };
          return { result: await publishOne(context, { ...keyed, channel }) };
        } catch (error) {
          if (!(error instanceof TodokuError)) throw error;
          return { error: { code: error.code, message: error.message } };
        }
      }),
    ),
  }),
});
