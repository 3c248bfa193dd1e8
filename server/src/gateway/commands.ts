/** The commands, each with its checks: what a client may ask for, and what it gets. */
import {
  ERRORS,
  TodokuError,
  type ClientInfo,
  type DecodedCommand,
  type Method,
  type Requests,
  type SubscribeRequest,
} from "@todoku/protocol";
import type { CursorKey, Cursors } from "../backbones/contract.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import type { PublishOptions } from "../namespaces/publisher.ts";
import { allow, namespaceFor } from "./access.ts";
import type { Answer, Call } from "./call.ts";
import { connect, refresh } from "./connect.ts";
import { consume, done, extend, fail, unconsume } from "./consume.ts";
import { readHistory } from "./history.ts";
import type { Feed } from "./feed.ts";
import type { Session } from "./session.ts";
import { attach, authorise, expireAt, prepare, type Grant } from "./subscribe.ts";
import { publishReply, subscribeReply } from "./replies.ts";

type Handlers = { readonly [M in Method]: (call: Call, request: Requests[M]) => Promise<void> };

/** Runs one decoded command. Rejects with what is to be answered, or closes the connection. */
export function runCommand(
  session: Session,
  command: Extract<DecodedCommand, { request: unknown }>,
  answer: Answer,
): Promise<void> {
  const handle = HANDLERS[command.method] as (call: Call, request: unknown) => Promise<void>;
  return handle({ session, id: command.id, answer }, command.request);
}

const HANDLERS: Handlers = {
  connect,
  refresh,
  subscribe,
  publish,
  history: readHistory,
  consume,
  unconsume,
  done,
  fail,
  extend,

  unsubscribe: async ({ session, answer }, { channel, forget }) => {
    const namespace = namespaceFor(session, channel);
    const subscription = session.subscriptions.get(channel);
    if (subscription) session.drop(subscription);
    const key = subscription?.options.durable?.key;
    if (forget === true && key && namespace.cursors) await forgetCursor(session, namespace, namespace.cursors, key);
    answer({ unsubscribe: {} });
  },

  presence: async ({ session, answer }, { channel }) => {
    allow(session, channel, "presence");
    answer({ presence: { presence: await session.context.operations.presence(channel) } });
  },

  presence_stats: async ({ session, answer }, { channel }) => {
    allow(session, channel, "presence");
    answer({ presence_stats: await session.context.operations.presenceStats(channel) });
  },

  rpc: async ({ session, answer }, { method = "", data }) => {
    const { onRpc } = session.context.hooks;
    if (!onRpc) throw new TodokuError(ERRORS.methodNotFound);
    const answered = await onRpc(session, method, data);
    answer({ rpc: answered === undefined ? {} : { data: answered } });
  },

  send: async ({ session }, { data }) => {
    await session.context.hooks.onSend?.(session, data);
  },

  sub_refresh: async ({ session, answer }, { channel, token }) => {
    const subscription = subscriptionTo(session, channel);
    const claims = await session.context.authenticator?.subscription(token);
    if (claims?.channel !== channel || claims.user !== session.user) throw new TodokuError(ERRORS.permissionDenied);
    expireAt(session, subscription, claims.expireAt);
    answer({ sub_refresh: session.ttl(claims.expireAt) });
  },

  ack: async ({ session, answer }, { channel, epoch, offset }) => {
    const position = await subscriptionTo(session, channel).ack({ epoch, offset });
    answer({ ack: position });
  },

  nack: async ({ session, answer }, { channel, epoch, offset }) => {
    await subscriptionTo(session, channel).nack({ epoch, offset });
    answer({ nack: {} });
  },
};

async function subscribe(call: Call, request: SubscribeRequest): Promise<void> {
  const { session } = call;
  const { channel } = request;
  const namespace = namespaceFor(session, channel);
  const release = session.reserve(channel);
  try {
    const grant = await authorise(session, namespace, request);
    const feed = await attach(session, namespace, request);
    // Of a function of its own, which has not waited: what it read would outlive its answer with one that has. See `Feed.turn`.
    await answerSubscribed(call, feed, request, grant);
  } finally {
    release();
  }
}

async function answerSubscribed(
  { session, id, answer }: Call,
  feed: Feed,
  request: SubscribeRequest,
  grant: Grant,
): Promise<void> {
  if (session.ended) return session.context.hub.release(feed);
  const prepared = await prepare(session, feed, request, grant);
  if (session.ended) return prepared.abandon();
  answer(subscribeReply(id, prepared));
  prepared.begin();
}

async function publish({ session, id, answer }: Call, request: Requests["publish"]): Promise<void> {
  const { channel } = request;
  const namespace = allow(session, channel, "publish");
  const { publisher, hooks } = session.context;
  const decision = hooks.onPublish && (await hooks.onPublish(session, channel, request.data));
  const data = decision?.data === undefined ? request.data : decision.data;
  const info = namespace.rules.info ? (session.subscriptions.get(channel)?.options.info ?? session.info) : undefined;
  const published = await publisher.publish(namespace, channel, JSON.stringify(data), publishOptions(request, info));
  answer(publishReply(id, published));
}

function publishOptions(request: Requests["publish"], info: ClientInfo | undefined): PublishOptions {
  const { key, key_age, tags, deliver_at, ttl } = request;
  const options: { -readonly [K in keyof PublishOptions]: PublishOptions[K] } = {};
  if (key !== undefined) options.key = key;
  if (key_age !== undefined) options.keyAgeMs = key_age;
  if (tags) options.tags = tags;
  if (deliver_at !== undefined) options.deliverAt = deliver_at;
  if (ttl !== undefined) options.ttlMs = ttl;
  if (info) options.info = info;
  return options;
}

async function forgetCursor(session: Session, namespace: Namespace, cursors: Cursors, key: CursorKey): Promise<void> {
  try {
    await session.context.durables.forget(cursors, key);
  } catch (error) {
    session.observer.backboneFailed(namespace, "forget", error);
    throw new TodokuError(ERRORS.backboneUnavailable, undefined, { cause: error });
  }
}

function subscriptionTo(session: Session, channel: string): NonNullable<ReturnType<Session["subscriptions"]["get"]>> {
  const subscription = session.subscriptions.get(channel);
  if (!subscription) throw new TodokuError(ERRORS.badRequest, "not subscribed");
  return subscription;
}
