/** Where an HTTP server listens and what it answers, on every runtime alike. */
import type { Config } from "./config.ts";
import type { HttpRequest, HttpResponse } from "./http-exchange.ts";
import type { Logger } from "./logger.ts";

export interface Listening<Handler> {
  /** The section of the configuration that says where, for errors. */
  readonly key: string;
  readonly host: string;
  readonly port: number;
  readonly tls?: Config["http"]["tls"];
  /** Other processes listen on the port as well, and the system gives each a share of the connections. Linux, FreeBSD. */
  readonly shared?: boolean;
  /** Asked in turn. Each resolves with whether it answered; one that rejects fails its request, and nothing else. */
  readonly handlers: readonly Handler[];
  readonly logger: Logger;
}

export interface ListeningServer {
  /** Resolves with the URL. @throws Error that names the key to change when the port cannot be had. */
  listen(): Promise<string>;
  /** Accepts nothing more from now on. Resolves when everything that was open has ended. */
  stop(): Promise<void>;
  /** Cuts what is still open. */
  cut(): void;
}

/** A head that takes longer ends its connection. */
export const HEADERS_MS = 10_000;
/** So does a whole request. */
export const REQUEST_MS = 60_000;

export async function answerFirst<Request, Response extends HttpResponse>(
  handlers: readonly ((request: Request, response: Response) => Promise<boolean>)[],
  request: Request,
  response: Response,
): Promise<void> {
  for (const handler of handlers) if (await handler(request, response)) return;
  sendError(response, 404, "nothing here");
}

export function sendError(response: HttpResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { code: status, message } }));
}

export type RequestHandler = (request: HttpRequest, response: HttpResponse) => Promise<boolean>;

/** Why a port cannot be had, and which key to change. */
export function portError({ key, host, port }: Pick<Listening<never>, "key" | "host" | "port">, cause: Error): Error {
  const code = "code" in cause ? String(cause.code) : cause.message;
  const why =
    code === "EADDRINUSE"
      ? `is in use by another process. Stop that process, or set ${key}.port (0 takes a free one)`
      : `cannot be listened on (${code}). Set ${key}.host and ${key}.port`;
  return new Error(`[${key}] port ${port} on ${host} ${why}`, { cause });
}

export function urlOf({ host, tls }: Pick<Listening<never>, "host" | "tls">, port: number): string {
  return `${tls ? "https" : "http"}://${nameOf(host)}:${port}`;
}

/** What to call the host in a URL that is opened on this machine. */
function nameOf(host: string): string {
  if (["0.0.0.0", "::", "127.0.0.1", "::1"].includes(host)) return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}
