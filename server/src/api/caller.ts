/** Who may call the API and read the metrics. */
import type { ApiKeys } from "../auth/keys.ts";
import { addressOf, isLoopback, isTrusted, type TrustedProxies } from "../gateway/listener/address.ts";
import { mayConnectFrom } from "../gateway/listener/origin.ts";
import type { HttpRequest } from "../http-exchange.ts";

export interface CallerRules {
  readonly keys: ApiKeys;
  /** Callers on this machine need no key. */
  readonly insecure: boolean;
  readonly trustedProxies: TrustedProxies;
  /** Origins of pages that may call without a key. */
  readonly allowedOrigins: readonly string[];
  /** The listener is internal: metrics need no key. */
  readonly internal: boolean;
}

/**
 * With one of the keys. In insecure mode programs on this machine need none; a browser page needs none only on the
 * server's own or an allowed origin, so that a foreign page cannot publish through its visitor.
 */
export function mayCall(request: HttpRequest, rules: CallerRules): boolean {
  const { keys, insecure, trustedProxies, allowedOrigins } = rules;
  if (keys.identify(request.headers) !== undefined) return true;
  if (!insecure || !isLocal(request, trustedProxies)) return false;
  const { origin, host } = request.headers;
  return mayConnectFrom(origin, host, allowedOrigins);
}

export function mayReadMetrics(request: HttpRequest, rules: CallerRules): boolean {
  return rules.internal || mayCall(request, rules);
}

/**
 * From a program on this machine. Not so: what a proxy forwards that is not listed as trusted, and a foreign name that
 * resolves to loopback (DNS rebinding).
 */
function isLocal(request: HttpRequest, trustedProxies: TrustedProxies): boolean {
  const { host, forwarded, "x-forwarded-for": forwardedFor } = request.headers;
  const hidden =
    forwarded !== undefined ||
    (forwardedFor !== undefined && !isTrusted(request.socket.remoteAddress ?? "", trustedProxies));
  return !hidden && isLoopback(addressOf(request, trustedProxies)) && isLocalName(host);
}

function isLocalName(host: string | undefined): boolean {
  const name = (host ?? "").replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name);
}
