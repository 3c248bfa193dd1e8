/** Who is subscribed: read off the feed's receivers, nothing is kept apart from them. */
import type { ClientInfo, PresenceStatsResult } from "@todoku/protocol";
import type { Hub } from "./hub.ts";
import { Subscription } from "./subscription.ts";

/** The subscribers of a channel on this gateway, by client id. */
export function presenceOf(hub: Hub, channel: string): Record<string, ClientInfo> {
  return Object.fromEntries(infos(hub, channel).map((info) => [info.client, info]));
}

export function presenceStatsOf(hub: Hub, channel: string): PresenceStatsResult {
  return statsOf(infos(hub, channel));
}

export function statsOf(all: readonly ClientInfo[]): PresenceStatsResult {
  return { num_clients: all.length, num_users: new Set(all.map(({ user }) => user)).size };
}

function infos(hub: Hub, channel: string): ClientInfo[] {
  const receivers = [...(hub.feed(channel)?.receivers ?? [])];
  return receivers.flatMap((receiver) => (receiver instanceof Subscription ? [receiver.options.info] : []));
}
