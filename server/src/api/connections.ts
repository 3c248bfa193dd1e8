/** What may be done to the connections of a user: `subscribe`, `unsubscribe`, `disconnect`, `refresh`. */
import type { Json } from "@todoku/protocol";
import { z } from "zod";
import type { Target } from "../gateway/operations.ts";
import { channelField, empty, namespaceOfChannel, route, type Route } from "./route.ts";

const target = {
  user: z.string().meta({ description: "Whose connections." }),
  client: z.string().optional().meta({ description: "Only this one of them." }),
  session: z.string().optional().meta({ description: "As `client`: a connection's session is its client id." }),
};
const expireAt = z.int().min(0).optional().meta({ description: "When it ends, in seconds since 1970." });
const reason = z.string().max(100).meta({ description: "Told to the client." });

interface Chosen {
  readonly user: string;
  readonly client?: string | undefined;
  readonly session?: string | undefined;
  readonly whitelist?: readonly string[] | undefined;
}

function targetOf({ user, client, session, whitelist }: Chosen): Target {
  const one = client ?? session;
  return { user, ...(one !== undefined && { client: one }), ...(whitelist && { except: whitelist }) };
}

export const subscribe: Route = route({
  method: "subscribe",
  summary: "Subscribe a user's connections to a channel from the server's side.",
  request: z.object({
    ...target,
    channel: channelField,
    info: z.unknown().optional().meta({ description: "Any JSON value: who this is, told to others on the channel." }),
    data: z.unknown().optional().meta({ description: "Any JSON value, told to the client." }),
    expire_at: expireAt,
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
  request: z.object({
    ...target,
    channel: z.string().meta({ description: "Name of the channel; empty for all." }),
    unsubscribe: z.object({ code: z.int().min(2000).max(2999), reason }).optional(),
  }),
  result: empty,
  run: async ({ operations }, { channel, unsubscribe: why, ...who }) => {
    await operations.unsubscribe(targetOf(who), channel, why);
    return {};
  },
});

export const disconnect: Route = route({
  method: "disconnect",
  summary: "Close a user's connections. Codes 3500–3999 and 4500–4999 tell the clients not to come back.",
  request: z.object({
    ...target,
    whitelist: z.array(z.string()).max(1000).optional().meta({ description: "Client ids that stay connected." }),
    disconnect: z.object({ code: z.int().min(3000).max(4999), reason }).optional(),
  }),
  result: empty,
  run: async ({ operations }, { disconnect: why, ...who }) => {
    await operations.disconnect(targetOf(who), why);
    return {};
  },
});

export const refresh: Route = route({
  method: "refresh",
  summary: "Move the end of a user's connections, or end them as expired.",
  request: z.object({
    ...target,
    expired: z.boolean().optional().meta({ description: "End them now; a client with a fresh token comes back." }),
    expire_at: expireAt,
  }),
  result: empty,
  run: async ({ operations }, { expired, expire_at, ...who }) => {
    await operations.refresh(targetOf(who), {
      ...(expired !== undefined && { expired }),
      ...(expire_at !== undefined && { expireAt: expire_at }),
    });
    return {};
  },
});
