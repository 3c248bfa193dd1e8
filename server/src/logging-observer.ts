/** Failures go to the log as well as to the metrics; everything else only counts. */
import { ERRORS, type TodokuError } from "@todoku/protocol";
import type { GatewayObserver } from "./gateway/observer.ts";
import type { Logger } from "./logger.ts";
import type { Namespace } from "./namespaces/namespace.ts";
import type { ArchiveObserver } from "./storage/archiver.ts";

type Observer = GatewayObserver & ArchiveObserver;

export function logging(observer: Observer, logger: Logger): Observer {
  return {
    published: (namespace, published, ms) => observer.published(namespace, published, ms),
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
    archived: (...event) => observer.archived(...event),
    archiveLag: (...event) => observer.archiveLag(...event),
    archiveMissed: (namespace, channel, from, to) => {
      observer.archiveMissed(namespace, channel, from, to);
      logger.error(
        { namespace: namespace.name, channel, from, to },
        "the log had dropped messages before they could be archived: a longer retention gives the archive more time",
      );
    },
    archiveLate: (namespace, channel, why) => {
      observer.archiveLate(namespace, channel, why);
      logger.warn(
        { namespace: namespace.name, channel, waiting: why },
        "the log will soon drop messages that are not archived yet: is the storage running?",
      );
    },
    backboneFailed: (namespace, operation, error) => {
      observer.backboneFailed(namespace, operation, error);
      logger.error({ namespace: namespace?.name, operation, error }, "an operation failed");
    },
  };
}
