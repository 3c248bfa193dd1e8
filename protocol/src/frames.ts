/**
 * The shapes that cross the wire: the Centrifugal client protocol (JSON, version 2) and todoku's extension of it.
 * SPEC.md says what each of them means; a field marked "extension" is one that the base protocol does not have.
 */

/** Any value that JSON can express. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A place in a channel's log. Offsets of different epochs are never compared. */
export interface Position {
  /** Opaque name of one unbroken life of the channel's log. */
  epoch: string;
  /** Integer in [0, 2^53); 0 is the place before the first message. */
  offset: number;
}

/** Who a connection is, as others may see it. */
export interface ClientInfo {
  user: string;
  client: string;
  /** Set by the connection token's or hook's `info`. */
  conn_info?: Json;
  /** Set by the subscription token's `info`. */
  chan_info?: Json;
}

/** One message as a client receives it. */
export interface Publication {
  data: Json;
  /** Absent on channels that keep no log. */
  offset?: number;
  info?: ClientInfo;
  tags?: Record<string, string>;
  /** Extension: the message's own name, the same for every receiver. */
  id?: string;
  /** Extension: milliseconds since 1970 at which the gateway accepted it. */
  time?: number;
  /** Extension: offset of the channel's message before this one. */
  prev?: number;
  /** Extension: it may have been delivered to this durable subscription before. */
  redelivered?: boolean;
}

/**
 * Why messages are missing: the log no longer keeps them (`retention`); the log's history may have been lost (`epoch`);
 * the reader was too slow for a channel that keeps nothing (`dropped`); handling failed too often and the message went
 * to the dead letters (`failed`).
 */
export type GapReason = "retention" | "epoch" | "dropped" | "failed";

/** Extension: stands in the place of messages that cannot be delivered. */
export interface Gap {
  /** First offset that may be missing; with reason `dropped` on a channel without a log, 0. */
  from: number;
  /** Last offset that may be missing; with reason `dropped` on a channel without a log, how many. */
  to: number;
  reason: GapReason;
  /** The epoch that holds after the gap, where the channel has a log. */
  epoch?: string;
}

// ── requests ───────────────────────────────────────────────────────────────

export interface ConnectRequest {
  token?: string;
  data?: Json;
  name?: string;
  version?: string;
  /** Positions from which server-side subscriptions are recovered. */
  subs?: Record<string, RecoverRequest>;
  /** Extension: the client understands todoku's extension; its publications carry the extended fields. */
  todoku?: { version: number };
}

export interface RecoverRequest {
  recover?: boolean;
  epoch?: string;
  offset?: number;
}

/** Extension: where a subscription starts. */
export type Start = "new" | "earliest" | Position;

export interface SubscribeRequest extends RecoverRequest {
  channel: string;
  token?: string;
  data?: Json;
  positioned?: boolean;
  recoverable?: boolean;
  join_leave?: boolean;
  flag?: number;
  /** Extension; default `new`. */
  start?: Start;
  /** Extension: name of a durable subscription of this user. Implies `ack`. */
  durable?: string;
  /** Extension: messages are acknowledged; at most `in_flight` are under way unacknowledged. */
  ack?: boolean;
  /** Extension: 1..10,000; default 100. */
  in_flight?: number;
}

export interface UnsubscribeRequest {
  channel: string;
  /** Extension: also forget the durable subscription's cursor. */
  forget?: boolean;
}

export interface PublishRequest {
  channel: string;
  data: Json;
  /** Extension: idempotency key, 1..128 characters. */
  key?: string;
  /** Extension: milliseconds since the key was first sent (0 or absent on the first try). */
  key_age?: number;
  /** Extension. */
  tags?: Record<string, string>;
  /** Extension, to a queue: the job is handed out from then on; milliseconds since 1970. */
  deliver_at?: number;
  /** Extension, to a queue: the job is forgotten when nobody has taken it for so many milliseconds. */
  ttl?: number;
}

export interface HistoryRequest {
  channel: string;
  /** Absent or 0: only the position; -1: as many as the server allows. */
  limit?: number;
  since?: { epoch?: string; offset?: number };
  reverse?: boolean;
}

export interface ChannelRequest {
  channel: string;
}
export interface RpcRequest {
  method?: string;
  data?: Json;
}
export interface RefreshRequest {
  token: string;
}
export interface SubRefreshRequest {
  channel: string;
  token: string;
}
export interface SendRequest {
  data: Json;
}

/** Extension: everything up to and including `offset` has been handled. */
export interface AckRequest extends Position {
  channel: string;
}

/** Extension: handling the message at `offset` failed; it is sent again after a delay. */
export interface NackRequest extends Position {
  channel: string;
}

/** Extension: jobs of a queue, each handed to one consumer of the group. */
export interface ConsumeRequest {
  queue: string;
  /** 1..128 characters; default `default`. */
  group?: string;
  /** Most jobs that this consumer holds at once, 1..10,000; default 1. */
  in_flight?: number;
  /** How long each job is leased, in milliseconds; default the queue's. */
  lease_ms?: number;
  /** A subscription token for the queue. */
  token?: string;
  /** Leases of an earlier connection that this consumer goes on with. */
  resume?: string[];
}

/** Extension: no further jobs; those in hand stay. */
export interface UnconsumeRequest {
  queue: string;
  group?: string;
}

interface LeaseRequest extends UnconsumeRequest {
  lease: string;
}

/** Extension: the job is done and goes. */
export interface DoneRequest extends LeaseRequest {
  /** Messages that are stored once with the end of the job. */
  publish?: ResultRequest[];
}

export interface ResultRequest {
  channel: string;
  data: Json;
  tags?: Record<string, string>;
}

/** Extension: the job is not done and is handed out again. */
export interface FailRequest extends LeaseRequest {
  /** Instead of the delay that grows with each attempt. */
  retry_in_ms?: number;
  /** Nobody tried it: it is available at once, and the attempt does not count. */
  untried?: boolean;
  /** What went wrong, for who reads the dead letters; at most 256 characters. */
  reason?: string;
}

/** Extension: the lease ends so many milliseconds from now. */
export interface ExtendRequest extends LeaseRequest {
  /** Default: as long as at first. */
  lease_ms?: number;
}

/** The requests by the name they have in a command. */
export interface Requests {
  connect: ConnectRequest;
  subscribe: SubscribeRequest;
  unsubscribe: UnsubscribeRequest;
  publish: PublishRequest;
  history: HistoryRequest;
  presence: ChannelRequest;
  presence_stats: ChannelRequest;
  rpc: RpcRequest;
  refresh: RefreshRequest;
  sub_refresh: SubRefreshRequest;
  send: SendRequest;
  ack: AckRequest;
  nack: NackRequest;
  consume: ConsumeRequest;
  unconsume: UnconsumeRequest;
  done: DoneRequest;
  fail: FailRequest;
  extend: ExtendRequest;
}

export type Method = keyof Requests;

/** What a client sends: `{id, <method>: {…}}`; `{}` is a pong. `send`, `ack` and `nack` may come without an id. */
export type Command = { id?: number } & { [M in Method]?: Requests[M] };

// ── replies ────────────────────────────────────────────────────────────────

export interface ErrorReply {
  code: number;
  message: string;
  temporary?: boolean;
}

export interface SubscribeResult {
  expires?: boolean;
  /** Seconds. */
  ttl?: number;
  recoverable?: boolean;
  positioned?: boolean;
  epoch?: string;
  offset?: number;
  was_recovering?: boolean;
  recovered?: boolean;
  publications?: Publication[];
  data?: Json;
  /** Extension: where the durable subscription's cursor stands. */
  cursor?: Position;
  /** Extension: older epochs, and up to which offset their history is also this one's. */
  forks?: Position[];
}

export interface ConnectResult {
  client: string;
  version: string;
  expires?: boolean;
  /** Seconds until the connection expires. */
  ttl?: number;
  /** Seconds between pings. */
  ping?: number;
  /** The client must answer pings. */
  pong?: boolean;
  data?: Json;
  session?: string;
  node?: string;
  subs?: Record<string, SubscribeResult>;
  /** Extension. */
  todoku?: { version: number; session: string };
}

export interface PublishResult {
  /** Extension. */
  offset?: number;
  /** Extension. */
  epoch?: string;
  /** Extension: the key was known: nothing was stored, this is the first publish's position. */
  duplicate?: boolean;
}

export interface HistoryResult {
  publications: Publication[];
  epoch: string;
  offset: number;
}

export interface PresenceResult {
  presence: Record<string, ClientInfo>;
}
export interface PresenceStatsResult {
  num_clients: number;
  num_users: number;
}
export interface RpcResult {
  data?: Json;
}
export interface RefreshResult {
  client: string;
  version: string;
  expires?: boolean;
  ttl?: number;
}
export interface SubRefreshResult {
  expires?: boolean;
  ttl?: number;
}

/** Extension. */
export interface ConsumeResult {
  group: string;
  in_flight: number;
  lease_ms: number;
  /** Those of `resume` that still hold, now for `lease_ms`. */
  resumed?: string[];
}

/** Extension. */
export interface FailResult {
  /** It was the last attempt: the job was given up. */
  dead?: boolean;
}

/** The results by the name of their request. */
export interface Results {
  connect: ConnectResult;
  subscribe: SubscribeResult;
  unsubscribe: Record<string, never>;
  publish: PublishResult;
  history: HistoryResult;
  presence: PresenceResult;
  presence_stats: PresenceStatsResult;
  rpc: RpcResult;
  refresh: RefreshResult;
  sub_refresh: SubRefreshResult;
  send: Record<string, never>;
  ack: Position;
  nack: Record<string, never>;
  consume: ConsumeResult;
  unconsume: Record<string, never>;
  done: Record<string, never>;
  fail: FailResult;
  extend: { lease_ms: number };
}

// ── pushes ─────────────────────────────────────────────────────────────────

/** Extension: a message of a queue in the hands of one consumer. */
export interface Job {
  /** The message's own name: the same on every attempt and in every group. */
  id: string;
  /** Milliseconds since 1970 at which it was accepted. */
  time: number;
  data: Json;
  /** 1 on the first. */
  attempt: number;
  /** Names this hand-out. */
  lease: string;
  /** When the lease ends, counted from when the server sent this. */
  lease_ms: number;
  group: string;
  info?: ClientInfo;
  tags?: Record<string, string>;
}

/** What the server sends unasked; `{}` is a ping. */
export interface Push {
  channel?: string;
  pub?: Publication;
  join?: { info: ClientInfo };
  leave?: { info: ClientInfo };
  unsubscribe?: { code: number; reason: string };
  subscribe?: SubscribeResult;
  message?: { data: Json };
  disconnect?: { code: number; reason: string };
  refresh?: RefreshResult;
  /** Extension. */
  gap?: Gap;
  /** Extension: whose `job` this is. */
  queue?: string;
  /** Extension. */
  job?: Job;
}

/** What a server sends: `{id, <method>: {…}}`, `{id, error}`, `{push}`, or `{}` for a ping. */
export type Reply = { id?: number; error?: ErrorReply; push?: Push } & { [M in Method]?: Results[M] };
