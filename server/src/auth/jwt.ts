/** Connection and subscription tokens: JSON Web Tokens, checked by `jose` with the algorithms that are configured. */
import { createPublicKey, createSecretKey } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { CLOSES, ERRORS, TodokuError, type Code, type Json } from "@todoku/protocol";
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Authenticator, ConnectionClaims, ServerSideSubscription, SubscriptionClaims } from "./authenticator.ts";
import { KeySet, KeysUnavailable } from "./key-set.ts";

type JwtConfig = NonNullable<Config["auth"]["jwt"]>;

/** Clocks of issuers and gateways may differ by so much. */
const TOLERANCE_S = 5;

const json = z.custom<Json>(() => true);
const position = z.object({ recover: z.boolean(), offset: z.int().min(0), epoch: z.string() }).partial();
const connectionClaims = z.object({
  sub: z.string().max(256).default(""),
  exp: z.number().optional(),
  info: json.optional(),
  /** Names the one channel of a subscription token, which opens no connection. */
  channel: z.undefined().optional(),
  channels: z.array(z.string()).default([]),
  subs: z
    .record(z.string(), z.object({ info: json.optional(), data: json.optional(), recover: position.optional() }))
    .default({}),
});
const subscriptionClaims = z.object({
  sub: z.string().max(256).default(""),
  channel: z.string(),
  exp: z.number().optional(),
  info: json.optional(),
});

/** Makes the authenticator that the configuration describes. Throws an `Error` for a key that is none. */
export function jwtAuthenticator(config: JwtConfig, clock: Clock): Authenticator {
  const key = keySource(config, clock);
  const options = {
    algorithms: [...(config.algorithms ?? (config.hmac === undefined ? ["RS256", "ES256"] : ["HS256"]))],
    clockTolerance: TOLERANCE_S,
    ...(config.issuer !== undefined && { issuer: config.issuer }),
    ...(config.audience !== undefined && { audience: config.audience }),
  };

  async function verify(token: string, flawed: Code): Promise<JWTPayload> {
    try {
      // `jku`, `x5u` and `jwk` in a token's header are not looked at: keys come from the configuration only.
      const { payload } = await jwtVerify(token, key, { ...options, currentDate: new Date(clock.now()) });
      return payload;
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw new TodokuError(ERRORS.tokenExpired, undefined, { cause: error });
      throw new TodokuError(error instanceof KeysUnavailable ? ERRORS.internal : flawed, undefined, { cause: error });
    }
  }

  return {
    connection: async (token): Promise<ConnectionClaims> => {
      const { sub, exp, info, channels, subs } = parse(
        connectionClaims,
        await verify(token, CLOSES.invalidToken),
        CLOSES.invalidToken,
      );
      const serverSide = new Map<string, ServerSideSubscription>(channels.map((channel) => [channel, {}]));
      for (const [channel, { info: about, data, recover }] of Object.entries(subs)) {
        serverSide.set(channel, {
          ...(about !== undefined && { info: about }),
          ...(data !== undefined && { data }),
          ...(recover && { recover: defined(recover) }),
        });
      }
      return {
        user: sub,
        subs: serverSide,
        ...(exp !== undefined && { expireAt: exp }),
        ...(info !== undefined && { info }),
      };
    },
    subscription: async (token): Promise<SubscriptionClaims> => {
      const payload = await verify(token, ERRORS.permissionDenied);
      const { sub, channel, exp, info } = parse(subscriptionClaims, payload, ERRORS.permissionDenied);
      return { user: sub, channel, ...(exp !== undefined && { expireAt: exp }), ...(info !== undefined && { info }) };
    },
  };
}

function parse<T>(schema: z.ZodType<T>, payload: JWTPayload, flawed: Code): T {
  const parsed = schema.safeParse(payload);
  if (!parsed.success) throw new TodokuError(flawed, undefined, { cause: parsed.error });
  return parsed.data;
}

function defined({ recover, offset, epoch }: z.output<typeof position>): {
  recover?: boolean;
  offset?: number;
  epoch?: string;
} {
  return {
    ...(recover !== undefined && { recover }),
    ...(offset !== undefined && { offset }),
    ...(epoch !== undefined && { epoch }),
  };
}

function keySource({ hmac, jwks, public_key }: JwtConfig, clock: Clock): JWTVerifyGetKey {
  if (hmac !== undefined) {
    const secret = createSecretKey(Buffer.from(hmac));
    return async () => secret;
  }
  if (jwks !== undefined) return new KeySet(jwks, clock).find;
  return publicKey(public_key ?? "");
}

/** PEM text, or a file with it that is read again when it changes. */
function publicKey(source: string): JWTVerifyGetKey {
  if (source.includes("-----BEGIN")) {
    const key = createPublicKey(source);
    return async () => key;
  }
  let kept = { changed: changedAt(source), key: createPublicKey(readFileSync(source)) };
  return async () => {
    try {
      const changed = changedAt(source);
      if (changed !== kept.changed) kept = { changed, key: createPublicKey(readFileSync(source)) };
    } catch {
      // Being replaced: the key from before is good until the new one is whole.
    }
    return kept.key;
  };
}

function changedAt(file: string): string {
  const { mtimeNs, ino, size } = statSync(file, { bigint: true });
  return `${mtimeNs}/${ino}/${size}`;
}
