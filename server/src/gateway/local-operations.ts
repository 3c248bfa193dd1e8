/** The operations on the connections of this one gateway. */
import {
  CLOSES,
  ERRORS,
  TodokuError,
  UNSUBSCRIBES,
  type ClientInfo,
  type Json,
  type PresenceStatsResult,
} from "@todoku/protocol";
import type { GatewayContext } from "./context.ts";
import type { ChannelStats, NodeInfo, Operations, Target } from "./operations.ts";
import { presenceOf, presenceStatsOf } from "./presence.ts";
import type { Session } from "./session.ts";
import { attach, prepare } from "./subscribe.ts";
import { namespaceFor } from "./access.ts";
import { glob } from "./glob.ts";
import { subscribePush } from "./replies.ts";

export class LocalOperations implements Operations {
  readonly #context: GatewayContext;
  readonly #name: string;
  readonly #uid: string;
  readonly #begun: number;

  /** `name` and `uid` are the gateway's, for `info`. */
  constructor(context: GatewayContext, name: string, uid: string) {
    this.#context = context;
    this.#name = name;
    this.#uid = uid;
    this.#begun = context.clock.now();
  }

  async presence(channel: string): Promise<Record<string, ClientInfo>> {
    return presenceOf(this.#context.hub, channel);
  }

  async presenceStats(channel: string): Promise<PresenceStatsResult> {
    return presenceStatsOf(this.#context.hub, channel);
  }

  async channels(pattern?: string): Promise<Record<string, ChannelStats>> {
    const matches = glob(pattern === undefined || pattern === "" ? "*" : pattern);
    const feeds = [...this.#context.hub.feeds()].filter(({ channel }) => matches(channel));
    return Object.fromEntries(feeds.map(({ channel, receivers }) => [channel, { num_clients: receivers.size }]));
  }

  async subscribe(
    target: Target,
    channel: string,
    options: { info?: Json; data?: Json; expireAt?: number } = {},
  ): Promise<number> {
    const sessions = this.#of(target);
    await Promise.all(sessions.map((session) => subscribeFor(session, channel, options)));
    return sessions.length;
  }

  async unsubscribe(
    target: Target,
    channel: string,
    reason: { code: number; reason: string } = {
      code: UNSUBSCRIBES.byServer.code,
      reason: UNSUBSCRIBES.byServer.message,
    },
  ): Promise<number> {
    let count = 0;
    for (const session of this.#of(target)) {
      for (const subscription of session.subscriptions) {
        if (channel !== "" && subscription.channel !== channel) continue;
        session.unsubscribe(subscription, { code: reason.code, message: reason.reason });
        count++;
      }
    }
    return count;
  }

  async disconnect(target: Target, reason?: { code: number; reason: string }): Promise<number> {
    const { code = CLOSES.doNotReconnect.code, reason: message = CLOSES.doNotReconnect.message } = reason ?? {};
    if (!Number.isInteger(code) || code < 3000 || code > 4999) {
      throw new RangeError(`a close code is an integer from 3000 to 4999, not ${code}`);
    }
    const sessions = this.#of(target);
    for (const session of sessions) session.end({ name: "disconnect", retry: "stop", code, message });
    return sessions.length;
  }

  async refresh(target: Target, { expired, expireAt }: { expired?: boolean; expireAt?: number }): Promise<number> {
    const sessions = this.#of(target);
    for (const session of sessions) {
      if (expired === true) {
        session.end(CLOSES.expired);
      } else {
        session.expireAt(expireAt);
        session.push({ refresh: { client: session.client, version: this.#context.version, ...session.ttl(expireAt) } });
      }
    }
    return sessions.length;
  }

  async info(): Promise<readonly NodeInfo[]> {
    const { sessions, hub, clock, version } = this.#context;
    let subscriptions = 0;
    let channels = 0;
    for (const { receivers } of hub.feeds()) {
      channels++;
      subscriptions += receivers.size;
    }
    return [
      {
        uid: this.#uid,
        name: this.#name,
        version,
        num_clients: sessions.size,
        num_users: sessions.users,
        num_subs: subscriptions,
        num_channels: channels,
        uptime: Math.floor((clock.now() - this.#begun) / 1000),
      },
    ];
  }

  #of({ user, client, except = [] }: Target): readonly Session[] {
    return this.#context.sessions.of(user, client).filter((session) => !except.includes(session.client));
  }
}

async function subscribeFor(
  session: Session,
  channel: string,
  { info, data, expireAt }: { info?: Json; data?: Json; expireAt?: number },
): Promise<void> {
  await session.settled();
  if (session.ended) return;
  let release = (): void => {};
  try {
    release = session.reserve(channel);
    const request = { channel };
    const feed = await attach(session, namespaceFor(session, channel), request);
    const prepared = await prepare(session, feed, request, {
      byToken: true,
      serverSide: true,
      ...(info !== undefined && { info }),
      ...(data !== undefined && { data }),
      ...(expireAt !== undefined && { expireAt }),
    });
    if (session.ended) return prepared.abandon();
    session.pushText(subscribePush(channel, prepared));
    prepared.begin();
  } catch (error) {
    // The client has what it should have, from before or because a subscribe of its own won.
    if (!(error instanceof TodokuError && error.code === ERRORS.alreadySubscribed.code)) throw error;
  } finally {
    release();
  }
}
