/** Who is there: `presence`, `presence_stats`, `channels` and `info`. */
import { z } from "zod";
import { channelField, clientInfo, namespaceOfChannel, route, type Route } from "./route.ts";

export const presence: Route = route({
  method: "presence",
  summary: "The connections that are subscribed to a channel, by client id.",
  request: z.object({ channel: channelField }),
  result: z.object({ presence: z.record(z.string(), clientInfo) }),
  run: async (context, { channel }) => {
    namespaceOfChannel(context, channel);
    return { presence: await context.operations.presence(channel) };
  },
});

export const presenceStats: Route = route({
  method: "presence_stats",
  summary: "How many connections and users are subscribed to a channel.",
  request: z.object({ channel: channelField }),
  result: z.object({ num_clients: z.int(), num_users: z.int() }),
  run: async (context, { channel }) => {
    namespaceOfChannel(context, channel);
    return context.operations.presenceStats(channel);
  },
});

export const channels: Route = route({
  method: "channels",
  summary: "Channels with subscribers. In `pattern`, `*` stands for any characters.",
  request: z.object({ pattern: z.string().max(255).optional() }),
  result: z.object({ channels: z.record(z.string(), z.object({ num_clients: z.int() })) }),
  run: async ({ operations }, { pattern }) => ({ channels: await operations.channels(pattern) }),
});

export const info: Route = route({
  method: "info",
  summary: "The gateways and what they hold.",
  request: z.object({}),
  result: z.object({
    nodes: z.array(
      z.object({
        uid: z.string(),
        name: z.string(),
        version: z.string(),
        num_clients: z.int(),
        num_users: z.int(),
        num_subs: z.int(),
        num_channels: z.int(),
        uptime: z.int(),
      }),
    ),
  }),
  run: async ({ operations }) => ({ nodes: [...(await operations.info())] }),
});
