/** What is wrong with a configuration beyond its shape: files that cannot be read, keys that are none. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { jwtAuthenticator } from "./auth/jwt.ts";
import { backboneProblems } from "./backbones/registry.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { trustedProxies } from "./gateway/listener/address.ts";

/** Reads files, opens nothing else. Every problem names its key. */
export function preflight({ auth, http, backbones }: Config): readonly string[] {
  const problems = Object.entries(backbones).flatMap(([name, settings]) => backboneProblems(name, settings));
  const { tls } = http;
  const attempt = (describe: (why: string) => string, work: () => unknown): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      problems.push(describe(error instanceof Error ? error.message : String(error)));
      return false;
    }
  };
  attempt(
    (why) => why,
    () => trustedProxies(http.trusted_proxies),
  );
  if (auth.jwt) {
    const { jwt } = auth;
    attempt(
      (why) =>
        `auth.jwt.${jwt.jwks === undefined ? "public_key" : "jwks"} is no usable key (${why}). Set it to PEM text or a file with it`,
      () => jwtAuthenticator(jwt, systemClock),
    );
  }
  if (tls) {
    const readable = (["cert", "key"] as const).every((key) =>
      attempt(
        (why) => `http.tls.${key} cannot be read (${why}). Set it to a PEM file`,
        () => readFileSync(tls[key]),
      ),
    );
    if (readable) {
      attempt(
        (why) => `http.tls.cert (${tls.cert}) and http.tls.key (${tls.key}) cannot be used together (${why})`,
        () => createSecureContext({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }),
      );
    }
  }
  return problems;
}
