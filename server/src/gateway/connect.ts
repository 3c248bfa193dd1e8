/** The commands that say who a connection is: `connect` and `refresh`. */
import {
  CLOSES,
  ERRORS,
  TodokuError,
  type ConnectRequest,
  type ConnectResult,
  type Json,
  type RefreshRequest,
  type RecoverRequest,
} from "@todoku/protocol";
import type { ConnectionClaims } from "../auth/authenticator.ts";
import type { ConnectDecision } from "../hooks.ts";
import type { Call } from "./call.ts";
import { connectReply } from "./replies.ts";
import type { Session } from "./session.ts";
import { attach, prepare, type Prepared } from "./subscribe.ts";
import { namespaceFor } from "./access.ts";

/** The version of the extension that this gateway speaks. */
export const EXTENSION_VERSION = 1;

/** What the token and the hook together say of a connection. */
interface Accepted {
  readonly user: string;
  readonly info?: Json;
  readonly data?: Json;
  readonly expireAt?: number;
  readonly subs: ReadonlyMap<string, { info?: Json; data?: Json; recover?: RecoverRequest }>;
}

export async function connect({ session, id, answer }: Call, request: ConnectRequest): Promise<void> {
  const { user, info, data, expireAt, subs } = await identify(session, request);
  if (session.ended) return;
  const { sessions, limits } = session.context;
  if (limits.connections_per_user > 0 && user !== "" && sessions.countOf(user) >= limits.connections_per_user) {
    throw new TodokuError(CLOSES.connectionLimit);
  }
  session.accept({
    user,
    extended: request.todoku !== undefined,
    ...(info !== undefined && { info }),
    ...(expireAt !== undefined && { expireAt }),
  });
  if (subs.size > limits.channels) throw new TodokuError(CLOSES.channelLimit);
  const releases = [...subs.keys()].map((channel) => session.reserve(channel));
  try {
    const prepared = await prepareServerSide(session, subs, request.subs ?? {});
    if (!session.ended) answer(connectReply(id, connectResult(session, data, expireAt), prepared));
    for (const one of prepared) one.begin();
  } finally {
    for (const release of releases) release();
  }
}

function connectResult(session: Session, data: Json | undefined, expireAt: number | undefined): ConnectResult {
  const { limits, version } = session.context;
  return {
    client: session.client,
    version,
    ...session.ttl(expireAt),
    ping: Math.round(limits.ping / 1000),
    pong: true,
    ...(data !== undefined && { data }),
    session: session.client,
    todoku: { version: EXTENSION_VERSION, session: session.client },
  };
}

export async function refresh({ session, answer }: Call, { token }: RefreshRequest): Promise<void> {
  const { authenticator, version } = session.context;
  if (!authenticator) throw new TodokuError(ERRORS.notAvailable, "no tokens are configured");
  const claims = await authenticator.connection(token);
  if (claims.user !== session.user) throw new TodokuError(CLOSES.invalidToken);
  session.expireAt(claims.expireAt);
  answer({ refresh: { client: session.client, version, ...session.ttl(claims.expireAt) } });
}

/** @throws TodokuError 3500 for who cannot be known, 109 for an expired token, and what the hook throws. */
async function identify(session: Session, { token, data }: ConnectRequest): Promise<Accepted> {
  const { authenticator, hooks, insecure } = session.context;
  const claims =
    token !== undefined && token !== "" && authenticator ? await authenticator.connection(token) : undefined;
  const decision = await hooks.onConnect?.({
    address: session.address,
    ...(session.origin !== undefined && { origin: session.origin }),
    ...(token !== undefined && { token }),
    ...(data !== undefined && { data }),
    ...(claims && { user: claims.user }),
  });
  const user = decision?.user ?? claims?.user ?? (insecure ? "" : undefined);
  if (user === undefined) throw new TodokuError(CLOSES.invalidToken);
  return combine(user, claims, decision ?? {});
}

function combine(user: string, claims: ConnectionClaims | undefined, decision: ConnectDecision): Accepted {
  const info = decision.info ?? claims?.info;
  const expireAt = decision.expireAt ?? claims?.expireAt;
  const added = (decision.channels ?? []).map((channel) => [channel, {}] as const);
  return {
    user,
    subs: new Map([...(claims?.subs ?? []), ...added]),
    ...(info !== undefined && { info }),
    ...(decision.data !== undefined && { data: decision.data }),
    ...(expireAt !== undefined && { expireAt }),
  };
}

/** The subscriptions that the server makes for the client; all of them, or the connect fails. */
async function prepareServerSide(
  session: Session,
  subs: Accepted["subs"],
  recover: Readonly<Record<string, RecoverRequest>>,
): Promise<readonly Prepared[]> {
  const outcomes = await Promise.allSettled(
    [...subs].map(async ([channel, { info, data, recover: from }]) => {
      const namespace = namespaceFor(session, channel);
      const request = { channel, ...(Object.hasOwn(recover, channel) ? recover[channel] : from) };
      return prepare(session, await attach(session, namespace, request), request, {
        byToken: true,
        serverSide: true,
        ...(info !== undefined && { info }),
        ...(data !== undefined && { data }),
      });
    }),
  );
  const prepared = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) {
    for (const one of prepared) one.abandon();
    throw failed.reason;
  }
  return prepared;
}
