/** The page at `/` that a newcomer plays with. */
import type { ApiHandler } from "../api/api.ts";
import type { Config } from "../config.ts";
import type { HttpResponse } from "../http-exchange.ts";
import type { ChannelPromise } from "./promise.ts";
import type { PageFiles } from "./page-files.ts";

/** The channel of each namespace that the page shows is called so. */
const ROOM = "demo";
const SHOWN = ["ticker", "chat", "orders"] as const;

/** Nothing but this server's own files and sockets, and nothing inline. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
} as const;

/** Serves the page and its files. The first request makes them, where the server runs as TypeScript. */
export function servePage(config: Config): ApiHandler {
  let files: Promise<PageFiles> | undefined;
  return async ({ method, url = "/" }, response) => {
    // Not a URL yet: a request may hold what is none.
    const [pathname = "/"] = url.split("?", 1);
    if ((method !== "GET" && method !== "HEAD") || (pathname !== "/" && !pathname.startsWith("/page/"))) return false;
    files ??= load(config);
    try {
      const file = (await files)[pathname];
      if (!file) return false;
      response.writeHead(200, { ...HEADERS, "content-type": file.type });
      response.end(method === "HEAD" ? undefined : file.body);
    } catch (error) {
      files = undefined;
      refuse(response, error);
    }
    return true;
  };
}

async function load(config: Config): Promise<PageFiles> {
  const { loadPage } = await import("#page");
  const files = await loadPage();
  const index = files["/"];
  if (!index) throw new Error("the page's files lack /");
  // In a script element only `<` could end it early.
  const promises = JSON.stringify(promisesOf(config)).replaceAll("<", "\\u003c");
  return { ...files, "/": { ...index, body: index.body.replace("{{promises}}", () => promises) } };
}

function promisesOf({ namespaces }: Config): readonly ChannelPromise[] {
  return SHOWN.flatMap((name) => {
    const rules = namespaces[name];
    if (!rules) return [];
    const { delivery, redelivery } = rules;
    return [
      {
        channel: `${name}:${ROOM}`,
        delivery,
        maxAttempts: redelivery.max_attempts,
        ...(redelivery.dead_letters !== undefined && { deadLetters: redelivery.dead_letters }),
      },
    ];
  });
}

function refuse(response: HttpResponse, error: unknown): void {
  response.writeHead(500, { ...HEADERS, "content-type": "text/plain; charset=utf-8" });
  response.end(`the page could not be made: ${error instanceof Error ? error.message : String(error)}\n`);
}
