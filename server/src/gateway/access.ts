/** Who may do what on a channel: the namespace's rule against what is known of the connection. */
import { checkChannel, ERRORS, TodokuError } from "@todoku/protocol";
import type { Access } from "../config.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import type { Session } from "./session.ts";

export interface Standing {
  /** `""`: anonymous. */
  readonly user: string;
  /** The connection is subscribed to the channel. */
  readonly subscribed: boolean;
  /** It was subscribed by a token for exactly this channel, or comes with one now. */
  readonly byToken: boolean;
}

export function mayAccess(rule: Access, { user, subscribed, byToken }: Standing): boolean {
  switch (rule) {
    case "none":
      return false;
    case "any":
      return true;
    case "authenticated":
      return user !== "";
    case "subscribers":
      return subscribed;
    case "token":
      return byToken;
  }
}

/** A valid subscription token opens a channel whatever its rule, except where nobody may. */
export function maySubscribe(rule: Access, user: string, byToken: boolean): boolean {
  return (byToken && rule !== "none") || mayAccess(rule, { user, subscribed: false, byToken });
}

/** The namespace of a channel that a client names. @throws TodokuError 107 or 102. */
export function namespaceFor(session: Session, channel: string): Namespace {
  const flaw = checkChannel(channel);
  if (flaw !== undefined) throw new TodokuError(ERRORS.badRequest, `channel ${flaw}`);
  const namespace = session.context.namespaces.of(channel);
  if (!namespace) throw new TodokuError(ERRORS.unknownChannel);
  return namespace;
}

/** The namespace, if its rule lets this connection do the thing. @throws TodokuError 107, 102 or 103. */
export function allow(session: Session, channel: string, what: "publish" | "history" | "presence"): Namespace {
  const namespace = namespaceFor(session, channel);
  if (namespace.queue && what !== "publish") throw new TodokuError(ERRORS.notAvailable, `${channel} is a queue`);
  const subscription = session.subscriptions.get(channel);
  const rule: Access = namespace.rules[what];
  const standing = {
    user: session.user,
    subscribed: subscription !== undefined,
    byToken: subscription?.options.byToken ?? false,
  };
  if (!mayAccess(rule, standing)) throw new TodokuError(ERRORS.permissionDenied);
  return namespace;
}
