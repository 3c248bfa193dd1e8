/** The HTTP side of the program: who may call, bodies, and what answers which path. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ERRORS, TodokuError } from "@todoku/protocol";
import type { ApiKeys } from "../auth/keys.ts";
import { addressOf, isLoopback, type TrustedProxies } from "../gateway/listener/address.ts";
import { mayConnectFrom } from "../gateway/listener/origin.ts";
import type { Health } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiContext } from "./route.ts";
import { answerCall } from "./routes.ts";

export interface ApiOptions extends ApiContext {
  readonly keys: ApiKeys;
  /** Without keys, the API is open to callers on loopback. */
  readonly insecure: boolean;
  readonly trustedProxies: TrustedProxies;
  /** Origins of pages that may call an open API. */
  readonly allowedOrigins: readonly string[];
  /** Largest body in bytes. */
  readonly bodyBytes: number;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly version: string;
  /** Metrics need no key here: the listener is internal. */
  readonly internal: boolean;
}

/** Answers what belongs to the API; resolves with whether it did. */
export type ApiHandler = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

const BODY_MS = 30_000;

export function createApi(options: ApiOptions): ApiHandler {
  const { health, metrics, version } = options;
  const document = JSON.stringify(openApiDocument(version));

  return async (request, response) => {
    const path = pathOf(request);
    try {
      if (path === "/health" || path === "/health/ready") await health.answer(response, "ready");
      else if (path === "/health/live") await health.answer(response, "live");
      else if (path === "/metrics") {
        if (!mayRead(request, options))
          throw new Refusal(401, new TodokuError(ERRORS.unauthorized, "metrics need an API key here"));
        response.setHeader("content-type", metrics.contentType);
        response.end(await metrics.text());
      } else if (path === "/api/openapi.json") sendText(response, 200, document);
      else if (path.startsWith("/api/")) await call(options, path.slice("/api/".length), request, response);
      else return false;
    } catch (error) {
      sendRefusal(response, error);
    }
    return true;
  };
}

async function call(
  options: ApiOptions,
  method: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    throw new Refusal(
      405,
      new TodokuError(ERRORS.badRequest, `${request.method} /api/${method.slice(0, 64)}; use POST`),
    );
  }
  if (!mayCall(request, options)) throw new Refusal(401, new TodokuError(ERRORS.unauthorized));
  const text = await bodyOf(request, options.bodyBytes);
  let body: unknown;
  try {
    body = text === "" ? {} : JSON.parse(text);
  } catch {
    throw new Refusal(400, new TodokuError(ERRORS.badRequest, "the body is not JSON"));
  }
  const key = request.headers["idempotency-key"] ?? request.headers["x-idempotency-key"];
  const answered = await answerCall(
    options,
    method,
    body,
    typeof key === "string" && key !== "" ? { idempotencyKey: key } : {},
  );
  const unknown = "error" in answered && answered.error.code === ERRORS.methodNotFound.code;
  sendText(response, unknown ? 404 : 200, JSON.stringify(answered));
}

/**
 * With keys, one of them is needed. Without, the API is open in insecure mode to programs on loopback; a browser page may
 * only call it from the server's own or an allowed origin, so that a foreign page cannot publish through its visitor.
 */
function mayCall(request: IncomingMessage, { keys, insecure, trustedProxies, allowedOrigins }: ApiOptions): boolean {
  if (keys.identify(request.headers) !== undefined) return true;
  if (!insecure || !isLoopback(addressOf(request, trustedProxies))) return false;
  const { origin, host } = request.headers;
  return isLocalHost(host) && mayConnectFrom(origin, host, allowedOrigins);
}

function mayRead(request: IncomingMessage, options: ApiOptions): boolean {
  const { internal, keys, trustedProxies } = options;
  return internal || keys.identify(request.headers) !== undefined || isLoopback(addressOf(request, trustedProxies));
}

/** A foreign name that resolves to loopback (DNS rebinding) is not local. */
function isLocalHost(host: string | undefined): boolean {
  const name = (host ?? "").replace(/:\d+$/, "");
  return name === "localhost" || name === "[::1]" || name.startsWith("127.") || name.endsWith(".localhost");
}

/** A refusal that has an HTTP status of its own. */
class Refusal extends Error {
  readonly status: number;
  readonly refused: TodokuError;

  constructor(status: number, refused: TodokuError) {
    super(refused.message, { cause: refused });
    this.status = status;
    this.refused = refused;
  }
}

function bodyOf(request: IncomingMessage, most: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const tooSlow = setTimeout(
      () => reject(new Refusal(408, new TodokuError(ERRORS.badRequest, "the body took too long"))),
      BODY_MS,
    );
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > most)
        reject(new Refusal(413, new TodokuError(ERRORS.messageTooLarge, `a body may have ${most} bytes`)));
      else chunks.push(chunk);
    });
    request.on("end", () => resolve(Buffer.concat(chunks).toString()));
    request.on("error", (error) =>
      reject(new Refusal(400, new TodokuError(ERRORS.badRequest, undefined, { cause: error }))),
    );
    request.on("close", () => clearTimeout(tooSlow));
  });
}

function sendRefusal(response: ServerResponse, error: unknown): void {
  const { status, refused } =
    error instanceof Refusal ? error : new Refusal(500, new TodokuError(ERRORS.internal, undefined, { cause: error }));
  if (status === 413) response.setHeader("connection", "close");
  sendText(response, status, JSON.stringify({ error: { code: refused.code, message: refused.message } }));
}

function sendText(response: ServerResponse, status: number, body: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { "content-type": "application/json", "x-content-type-options": "nosniff" });
  response.end(body);
}

function pathOf({ url = "/" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}
