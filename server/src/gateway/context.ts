/** What all connections of one gateway have in common. */
import type { Authenticator } from "../auth/authenticator.ts";
import type { RateLimiter } from "../auth/rate.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Hooks } from "../hooks.ts";
import type { Namespaces } from "../namespaces/namespace.ts";
import type { Publisher } from "../namespaces/publisher.ts";
import type { Dispatchers } from "../queues/dispatchers.ts";
import type { DurableSubscriptions } from "./durable-subscriptions.ts";
import type { Backlog } from "./backlog.ts";
import type { Flusher } from "./outbox.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Hub } from "./hub.ts";
import type { GatewayObserver } from "./observer.ts";
import type { Operations } from "./operations.ts";
import type { Session } from "./session.ts";
import type { Sessions } from "./sessions.ts";

/** Token buckets; the key is a connection, a user or an address. */
export interface Rates {
  readonly commands: RateLimiter;
  readonly publish: RateLimiter;
  readonly subscribe: RateLimiter;
  readonly user: RateLimiter;
}

export interface GatewayContext {
  readonly limits: Config["client"];
  /** Anyone may connect, as the anonymous user. */
  readonly insecure: boolean;
  readonly version: string;
  readonly clock: Clock;
  readonly observer: GatewayObserver;
  readonly hooks: Hooks;
  /** Absent: no token is accepted. */
  readonly authenticator?: Authenticator;
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;
  readonly hub: Hub;
  /** On the connections of all gateways that share a bus with this one. */
  readonly operations: Operations;
  readonly durables: DurableSubscriptions;
  /** Of the queues that somebody here consumes from. */
  readonly dispatchers: Dispatchers;
  /** Waited for when the gateway stops. */
  readonly ending: (work: Promise<void>) => void;
  /** Every connection, also those that have not sent `connect` yet. */
  readonly open: Set<Session>;
  readonly sessions: Sessions;
  readonly heartbeat: Heartbeat;
  readonly flusher: Flusher;
  readonly backlog: Backlog;
  readonly rates: Rates;
}
