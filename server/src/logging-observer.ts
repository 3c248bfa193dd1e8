/** Failures go to the log as well as to the metrics; everything else only counts. */
import { ERRORS, type TodokuError } from "@todoku/protocol";
import type { GatewayObserver } from "./gateway/observer.ts";
import type { Logger } from "./logger.ts";
import type { Namespace } from "./namespaces/namespace.ts";

export function logging(observer: GatewayObserver, logger: Logger): GatewayObserver {
  return {
    published: (...event) => observer.published(...event),
    failed: (namespace: Namespace, error: TodokuError) => {
      observer.failed(namespace, error);
      const refused = error.cause === undefined && error.code !== ERRORS.internal.code;
      logger[refused ? "debug" : "error"]({ namespace: namespace.name, error }, "a publish failed");
    },
    connected: () => observer.connected(),
    disconnected: (code) => observer.disconnected(code),
    subscribed: (namespace) => observer.subscribed(namespace),
    unsubscribed: (namespace) => observer.unsubscribed(namespace),
    command: (method, error) => observer.command(method, error),
    delivered: (namespace, receivers, ms) => observer.delivered(namespace, receivers, ms),
    caughtUp: (namespace, reason) => observer.caughtUp(namespace, reason),
    dropped: (namespace, count) => observer.dropped(namespace, count),
    malformed: (namespace, why) => {
      observer.malformed(namespace, why);
      if (why !== undefined)
        logger.warn({ namespace: namespace?.name, why }, "a message of another program cannot be delivered");
    },
    gap: (namespace, reason) => observer.gap(namespace, reason),
    redelivered: (namespace) => observer.redelivered(namespace),
    deadLettered: (namespace) => observer.deadLettered(namespace),
    queueUsed: (namespace, queue) => observer.queueUsed(namespace, queue),
    job: (namespace, group, event) => observer.job(namespace, group, event),
    backboneFailed: (namespace, operation, error) => {
      observer.backboneFailed(namespace, operation, error);
      logger.error({ namespace: namespace?.name, operation, error }, "an operation failed");
    },
  };
}
