/** What the HTTP API and applications may ask of the gateway about its connections. */
import type { ClientInfo, Json, PresenceStatsResult } from "@todoku/protocol";

/** Which connections: those of `user`, narrowed to one by `client` where given, without those in `except`. */
export interface Target {
  readonly user: string;
  readonly client?: string;
  /** Client ids. */
  readonly except?: readonly string[];
}

export interface ChannelStats {
  readonly num_clients: number;
}

export interface NodeInfo {
  readonly uid: string;
  readonly name: string;
  readonly version: string;
  readonly num_clients: number;
  readonly num_users: number;
  readonly num_subs: number;
  readonly num_channels: number;
  /** Seconds since start. */
  readonly uptime: number;
}

export interface Operations {
  /** Connections subscribed to the channel, by client id. */
  presence(channel: string): Promise<Record<string, ClientInfo>>;
  presenceStats(channel: string): Promise<PresenceStatsResult>;
  /** Channels with subscribers; `pattern` is a glob in which `*` stands for any characters. */
  channels(pattern?: string): Promise<Record<string, ChannelStats>>;
  /** Subscribes connections from the server's side. Resolves with how many were found. */
  subscribe(
    target: Target,
    channel: string,
    options?: { info?: Json; data?: Json; expireAt?: number },
  ): Promise<number>;
  /** Ends subscriptions; with `channel` empty, all of them. */
  unsubscribe(target: Target, channel: string, reason?: { code: number; reason: string }): Promise<number>;
  /** @throws RangeError for a code that is not from 3000 to 4999. */
  disconnect(target: Target, reason?: { code: number; reason: string }): Promise<number>;
  /** Moves the connections' expiry (seconds since 1970), or ends them with `expired`. */
  refresh(target: Target, options: { expired?: boolean; expireAt?: number }): Promise<number>;
  info(): Promise<readonly NodeInfo[]>;
}
