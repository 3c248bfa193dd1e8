/** What may be done to the connections of a user: `subscribe`, `unsubscribe`, `disconnect`, `refresh`. */
import type { Json } from "@todoku/protocol";
import { z } from "zod";
import type { Target } from "../gateway/operations.ts";
import { channelField, empty, namespaceOfChannel, route, type Route } from "./route.ts";

const target = {
  user: z.string().meta({ description: "Whose connections." }),
  client: z.string().optional().meta({ description: "Only this one of them." }),
};
const reason = { code: z.int(), reason: z.string().max(100) };

function targetOf({ user, client }: { user: string; client?: string | undefined }): Target {
  return { user, ...(client !== undefined && { client }) };
}

export const subscribe: Route = route({
  method: "subscribe",
  summary: "Subscribe a user's connections to a channel from the server's side.",
  request: z.object({
    ...target,
    channel: channelField,
    info: z.unknown().optional(),
    data: z.unknown().optional(),
    expire_at: z.int().optional(),
  }),
  result: empty,
  run: async (context, { channel, info, data, expire_at, ...who }) => {
    namespaceOfChannel(context, channel);
    await context.operations.subscribe(targetOf(who), channel, {
      ...(info !== undefined && { info: info as Json }),
      ...(data !== undefined && { data: data as Json }),
      ...(expire_at !== undefined && { expireAt: expire_at }),
    });
    return {};
  },
});

export const unsubscribe: Route = route({
  method: "unsubscribe",
  summary: "End a user's subscriptions to a channel; with an empty channel, all of them.",
  request: z.object({ ...target, channel: z.string(), unsubscribe: z.object(reason).optional() }),
  result: empty,
  run: async ({ operations }, { channel, unsubscribe: why, ...who }) => {
    await operations.unsubscribe(targetOf(who), channel, why);
    return {};
  },
});

export const disconnect: Route = route({
  method: "disconnect",
  summary: "Close a user's connections. Codes 3500–3999 and 4500–4999 tell the clients not to come back.",
  request: z.object({ ...target, disconnect: z.object({ ...reason, code: z.int().min(3000).max(4999) }).optional() }),
  result: empty,
  run: async ({ operations }, { disconnect: why, ...who }) => {
    await operations.disconnect(targetOf(who), why);
    return {};
  },
});

export const refresh: Route = route({
  method: "refresh",
  summary: "Move the end of a user's connections, or end them as expired.",
  request: z.object({ ...target, expired: z.boolean().optional(), expire_at: z.int().optional() }),
  result: empty,
  run: async ({ operations }, { expired, expire_at, ...who }) => {
    await operations.refresh(targetOf(who), {
      ...(expired !== undefined && { expired }),
      ...(expire_at !== undefined && { expireAt: expire_at }),
    });
    return {};
  },
});
