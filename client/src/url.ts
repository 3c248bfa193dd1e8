import { ERRORS, TodokuError } from "@todoku/protocol";

const SCHEMES: Readonly<Record<string, string>> = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" };

/**
 * The WebSocket's address for what an application knows of its server: `ws:`, `wss:`, `http:` or `https:`; without a path
 * it becomes `/connection/websocket`. In a browser it may be relative to the page.
 *
 * @throws TodokuError 107 for anything else.
 */
export function socketUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url, (globalThis as { location?: { href: string } }).location?.href);
  } catch (error) {
    throw new TodokuError(ERRORS.badRequest, `${JSON.stringify(url)} is not a URL, such as ws://localhost:8000`, {
      cause: error,
    });
  }
  const scheme = SCHEMES[parsed.protocol];
  if (scheme === undefined) {
    throw new TodokuError(
      ERRORS.badRequest,
      `a server's URL begins with ws, wss, http or https, not ${parsed.protocol}`,
    );
  }
  parsed.protocol = scheme;
  parsed.hash = "";
  if (parsed.pathname === "/") parsed.pathname = "/connection/websocket";
  return parsed.href;
}

/** What of an address may stand in an error: no user, no query. */
export function redacted(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
