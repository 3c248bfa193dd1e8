/**
 * Decisions and answers in code, beside the rules of the configuration. Each may be asynchronous. Throwing a
 * `TodokuError` refuses with its code; anything else thrown is logged and answered as internal (100).
 */
import type { ClientInfo, Json } from "@todoku/protocol";

/** An authenticated connection, as hooks see it. */
export interface Caller {
  readonly client: string;
  /** `""` for an anonymous user. */
  readonly user: string;
  readonly address: string;
}

export interface Hooks {
  /**
   * Before a connection is accepted. `user` is set when a token was valid. The answer may name the user, add info, data
   * for the connect reply and server-side subscriptions; returning nothing leaves the decision to the configuration.
   */
  onConnect?(request: ConnectAttempt): Promise<ConnectDecision | void> | ConnectDecision | void;
  /** After the namespace's rules allowed a subscription. `data` is what the client sent along. */
  onSubscribe?(
    caller: Caller,
    channel: string,
    data: Json | undefined,
  ): Promise<SubscribeDecision | void> | SubscribeDecision | void;
  /** After the namespace's rules allowed a client's publish, enqueueing a job and a job's results included. A returned `data` replaces the published one. */
  onPublish?(caller: Caller, channel: string, data: Json): Promise<{ data?: Json } | void> | { data?: Json } | void;
  /**
   * After the namespace's rules, or a token, allowed a client to consume from a queue; throw to refuse. Every group is handed
   * every job, and a group that nobody works for keeps all of them: `group` is for the application to allow as well. A client
   * that comes back is asked about anew.
   */
  onConsume?(caller: Caller, queue: string, group: string): Promise<void> | void;
  /** Answers a client's `rpc`. Without this hook every rpc is answered 104. */
  onRpc?(caller: Caller, method: string, data: Json | undefined): Promise<Json | void> | Json | void;
  /** A client's `send`, which has no answer. */
  onSend?(caller: Caller, data: Json): Promise<void> | void;
  /** After the connection has ended. */
  onDisconnect?(caller: Caller, reason: { code: number; reason: string }): Promise<void> | void;
}

export interface ConnectAttempt {
  readonly address: string;
  readonly origin?: string;
  readonly token?: string;
  readonly data?: Json;
  readonly user?: string;
}

export interface ConnectDecision {
  user?: string;
  info?: ClientInfo["conn_info"];
  data?: Json;
  channels?: readonly string[];
  /** Seconds since 1970. */
  expireAt?: number;
}

export interface SubscribeDecision {
  info?: ClientInfo["chan_info"];
  data?: Json;
  /** Seconds since 1970. */
  expireAt?: number;
}
