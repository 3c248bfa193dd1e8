/** Who may do what on a channel: the namespace's rule against what is known of the connection. */
import type { Access } from "../config.ts";

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
