/** Makes tokens, for the command line and for back ends written with this package. */
import { SignJWT } from "jose";
import type { Json } from "@todoku/protocol";

export interface TokenRequest {
  readonly user: string;
  /** With it a subscription token for this channel, else a connection token. */
  readonly channel?: string;
  /** Lifetime in seconds; absent: no end. */
  readonly ttl?: number;
  readonly info?: Json;
  /** Server-side subscriptions of a connection token. */
  readonly channels?: readonly string[];
  readonly issuer?: string;
  readonly audience?: string;
  /** HS256 (default), HS384 or HS512. */
  readonly algorithm?: string;
}

/** A token signed with the shared secret. */
export async function signToken(secret: string, request: TokenRequest, nowMs: number = Date.now()): Promise<string> {
  const { user, channel, ttl, info, channels, issuer, audience, algorithm = "HS256" } = request;
  const now = Math.floor(nowMs / 1000);
  const token = new SignJWT({
    ...(channel !== undefined && { channel }),
    ...(info !== undefined && { info }),
    ...(channels && { channels }),
  })
    .setProtectedHeader({ alg: algorithm, typ: "JWT" })
    .setSubject(user)
    .setIssuedAt(now);
  if (ttl !== undefined) token.setExpirationTime(now + ttl);
  if (issuer !== undefined) token.setIssuer(issuer);
  if (audience !== undefined) token.setAudience(audience);
  return token.sign(new TextEncoder().encode(secret));
}
