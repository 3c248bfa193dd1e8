/** What a token says, once it is known to be genuine. How it is checked is the business of the implementations beside this file. */
import type { Json, RecoverRequest } from "@todoku/protocol";

export interface ConnectionClaims {
  /** `sub`; `""` for an anonymous user. */
  readonly user: string;
  /** Seconds since 1970; absent: the connection does not expire. */
  readonly expireAt?: number;
  readonly info?: Json;
  /** Server-side subscriptions: the claims `channels` and `subs` together. */
  readonly subs: ReadonlyMap<string, ServerSideSubscription>;
}

export interface ServerSideSubscription {
  readonly info?: Json;
  readonly data?: Json;
  readonly recover?: RecoverRequest;
}

export interface SubscriptionClaims {
  readonly user: string;
  readonly channel: string;
  /** Seconds since 1970; absent: the subscription does not expire. */
  readonly expireAt?: number;
  readonly info?: Json;
}

export interface Authenticator {
  /**
   * @throws TodokuError 109 when the token has expired; a `TodokuError` of close code 3500 (`CLOSES.invalidToken`) for
   * every other flaw, with no hint which; 100 when the key set cannot be fetched.
   */
  connection(token: string): Promise<ConnectionClaims>;
  /** @throws TodokuError as `connection`, with 103 (`ERRORS.permissionDenied`) in place of 3500. */
  subscription(token: string): Promise<SubscriptionClaims>;
}
