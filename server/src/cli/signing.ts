/** How the command line signs tokens: with the configuration's shared secret. */
import type { TokenRequest } from "../auth/token.ts";
import type { Config } from "../config.ts";

export interface Signing extends Pick<TokenRequest, "issuer" | "audience" | "algorithm"> {
  readonly secret: string;
}

/** A secret, with what the configuration demands of its tokens; undefined without a secret. */
export function signingWith(secret: string | undefined, jwt: Config["auth"]["jwt"]): Signing | undefined {
  if (secret === undefined) return undefined;
  const { issuer, audience, algorithms } = jwt ?? {};
  const [algorithm] = algorithms ?? [];
  return {
    secret,
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
    ...(algorithm !== undefined && algorithm.startsWith("HS") && { algorithm }),
  };
}
