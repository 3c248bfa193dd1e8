/** The commands of queues: who may consume, and what becomes of the jobs. */
import {
  ERRORS,
  TodokuError,
  type ConsumeRequest,
  type DoneRequest,
  type ExtendRequest,
  type FailRequest,
  type UnconsumeRequest,
} from "@todoku/protocol";
import type { Namespace, NamespaceQueue } from "../namespaces/namespace.ts";
import { asRefusal } from "../namespaces/publisher.ts";
import { complete, type JobResult } from "../queues/completion.ts";
import { allow, maySubscribe, namespaceFor } from "./access.ts";
import type { Call } from "./call.ts";
import { SessionConsumer } from "./consumer.ts";
import type { Session } from "./session.ts";

/** The group of consumers that name none. */
export const DEFAULT_GROUP = "default";

export async function consume({ session, answer }: Call, request: ConsumeRequest): Promise<void> {
  const { queue, group = DEFAULT_GROUP, in_flight = 1, resume = [] } = request;
  const namespace = namespaceFor(session, queue);
  const rules = queueOf(namespace, queue);
  await mayConsume(session, namespace, request);
  await session.context.hooks.onConsume?.(session, queue, group);
  session.observer.queueUsed(namespace, queue);
  const key = keyOf(queue, group);
  const before = session.consumers.get(key);
  if (before?.taking === true) throw new TodokuError(ERRORS.alreadySubscribed, "already consuming");
  if (!before && session.consumers.size >= session.context.limits.channels) {
    throw new TodokuError(ERRORS.limitExceeded, `a connection may have ${session.context.limits.channels} consumers`);
  }
  const leaseMs = request.lease_ms ?? rules.leaseMs;
  const inFlight = Math.min(in_flight, rules.inFlight);
  const consumer = new SessionConsumer(session, { namespace, rules, queue, group, leaseMs, inFlight }, before);
  session.addConsumer(key, consumer);
  const resumed = await goOn(consumer, resume);
  if (session.ended) return session.context.ending(consumer.letGo());
  answer({
    consume: { group, in_flight: inFlight, lease_ms: leaseMs, ...(resumed.length > 0 && { resumed }) },
  });
  consumer.start();
}

/** Takes leases of an earlier connection over. Returns those that still hold. */
async function goOn(consumer: SessionConsumer, leases: readonly string[]): Promise<string[]> {
  const { rules, queue, group, leaseMs } = consumer.options;
  const held = await Promise.all(
    leases.map(async (lease) => {
      const outcome = await attempt(() => rules.jobs.extend(queue, group, lease, leaseMs));
      if (outcome === "done") consumer.holds(lease, leaseMs);
      return outcome === "done" ? [lease] : [];
    }),
  );
  return held.flat();
}

export async function unconsume(
  { session, answer }: Call,
  { queue, group = DEFAULT_GROUP }: UnconsumeRequest,
): Promise<void> {
  consumerOf(session, queue, group).stop();
  answer({ unconsume: {} });
}

export async function done({ session, answer }: Call, request: DoneRequest): Promise<void> {
  const { queue, group = DEFAULT_GROUP, lease, publish = [] } = request;
  const consumer = consumerOf(session, queue, group);
  const { namespace, rules } = consumer.options;
  const results = await Promise.all(publish.map((result) => resultOf(session, result)));
  consumer.ending(lease);
  try {
    await settle(session, consumer, lease, () =>
      complete(rules, session.context.publisher, { queue, group, lease }, results),
    );
  } finally {
    consumer.notEnded(lease);
  }
  session.observer.job(namespace, group, "done");
  consumer.ended(lease);
  answer({ done: {} });
}

export async function fail({ session, answer }: Call, request: FailRequest): Promise<void> {
  const { queue, group = DEFAULT_GROUP, lease, retry_in_ms, untried, reason } = request;
  const consumer = consumerOf(session, queue, group);
  const { namespace, rules } = consumer.options;
  const outcome = await settle(session, consumer, lease, () =>
    rules.jobs.fail(queue, group, lease, {
      redelivery: rules.redelivery,
      ...(retry_in_ms !== undefined && { retryInMs: retry_in_ms }),
      ...(untried !== undefined && { untried }),
      ...(reason !== undefined && { reason }),
    }),
  );
  session.observer.job(namespace, group, outcome === "dead" ? "dead" : untried === true ? "given_back" : "failed");
  consumer.ended(lease, true);
  answer({ fail: outcome === "dead" ? { dead: true } : {} });
}

export async function extend({ session, answer }: Call, request: ExtendRequest): Promise<void> {
  const { queue, group = DEFAULT_GROUP, lease } = request;
  const consumer = consumerOf(session, queue, group);
  const { rules, leaseMs } = consumer.options;
  const ms = request.lease_ms ?? leaseMs;
  await settle(session, consumer, lease, () => rules.jobs.extend(queue, group, lease, ms));
  consumer.holds(lease, ms);
  answer({ extend: { lease_ms: ms } });
}

/** Runs what ends or moves a lease. @throws TodokuError 406 once the lease has ended. */
async function settle<T>(
  session: Session,
  consumer: SessionConsumer,
  lease: string,
  work: () => Promise<T>,
): Promise<Exclude<T, "fenced">> {
  const { namespace, group } = consumer.options;
  // What a client has in hand is bounded. Leases that it only names are not, and each costs a call of the backbone.
  if (!consumer.knows(lease) && !session.context.rates.commands.take(session.client)) {
    throw new TodokuError(ERRORS.tooManyRequests);
  }
  try {
    const outcome = await attempt(work);
    if (outcome === "fenced") throw new TodokuError(ERRORS.leaseLost);
    return outcome as Exclude<T, "fenced">;
  } catch (error) {
    if (error instanceof TodokuError && error.code === ERRORS.leaseLost.code) {
      session.observer.job(namespace, group, "lost");
      consumer.ended(lease);
    }
    throw error;
  }
}

/** A result is a publish of this connection, under the same rules. */
async function resultOf(
  session: Session,
  { channel, data, tags }: NonNullable<DoneRequest["publish"]>[number],
): Promise<JobResult> {
  const namespace = allow(session, channel, "publish");
  const decision = await session.context.hooks.onPublish?.(session, channel, data);
  return {
    namespace,
    channel,
    data: JSON.stringify(decision?.data === undefined ? data : decision.data),
    ...(tags && { tags }),
    ...(namespace.rules.info && { info: session.info }),
  };
}

/** A token for the queue opens it whatever its rule, except where nobody may. */
async function mayConsume(session: Session, namespace: Namespace, { queue, token }: ConsumeRequest): Promise<void> {
  const { authenticator } = session.context;
  const claims = token !== undefined && authenticator ? await authenticator.subscription(token) : undefined;
  if (claims && (claims.user !== session.user || claims.channel !== queue))
    throw new TodokuError(ERRORS.permissionDenied);
  if (!maySubscribe(namespace.rules.consume, session.user, claims !== undefined))
    throw new TodokuError(ERRORS.permissionDenied);
}

function queueOf({ queue: rules }: Namespace, queue: string): NamespaceQueue {
  if (!rules) throw new TodokuError(ERRORS.notAvailable, `${queue} is no queue`);
  return rules;
}

function consumerOf(session: Session, queue: string, group: string): SessionConsumer {
  const consumer = session.consumers.get(keyOf(queue, group));
  if (!consumer) throw new TodokuError(ERRORS.badRequest, "not consuming");
  return consumer;
}

function keyOf(queue: string, group: string): string {
  return JSON.stringify([queue, group]);
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asRefusal(error);
  }
}
