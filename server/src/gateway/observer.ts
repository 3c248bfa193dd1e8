/** What the gateway tells about its work. Called on the hot path: an observer only counts. */
import type { GapReason } from "@todoku/protocol";
import type { PublishObserver } from "../namespaces/publisher.ts";
import type { Namespace } from "../namespaces/namespace.ts";

export interface GatewayObserver extends PublishObserver {
  connected(): void;
  /** `code` is the close code. */
  disconnected(code: number): void;
  subscribed(namespace: Namespace): void;
  unsubscribed(namespace: Namespace): void;
  command(method: string, error: number | undefined): void;
  /** One publication was handed to `receivers` connections, `ms` after it was accepted. */
  delivered(namespace: Namespace, receivers: number, ms: number): void;
  /** A subscription began to read the log. `slow`: because its reader could not keep up. */
  caughtUp(namespace: Namespace, reason: "start" | "slow" | "repair"): void;
  /** Publications were dropped for a slow reader of a channel without a log. */
  dropped(namespace: Namespace, count: number): void;
  /** Another program left something in the broker that cannot be delivered. `namespace` is absent where it names none. */
  malformed(namespace: Namespace | undefined, why?: string): void;
  gap(namespace: Namespace, reason: GapReason): void;
  redelivered(namespace: Namespace): void;
  deadLettered(namespace: Namespace): void;
  /** Something became of a job in the hands of a client. */
  job(namespace: Namespace, group: string, event: JobEvent): void;
}

/** `lost`: the consumer was fenced, because the lease had ended. */
export type JobEvent = "handed_out" | "done" | "failed" | "given_back" | "dead" | "lost";

const nothing = (): void => {};

/** Observes nothing. */
export const silentObserver: GatewayObserver = {
  published: nothing,
  failed: nothing,
  connected: nothing,
  disconnected: nothing,
  subscribed: nothing,
  unsubscribed: nothing,
  command: nothing,
  delivered: nothing,
  caughtUp: nothing,
  dropped: nothing,
  malformed: nothing,
  gap: nothing,
  redelivered: nothing,
  deadLettered: nothing,
  job: nothing,
  queueUsed: nothing,
  backboneFailed: nothing,
};
