/** The HTTP side of the program: what answers which path, and what a refused request gets. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import type { HttpRequest, HttpResponse } from "../http-exchange.ts";
import { readBody, type BodyLimits } from "./body.ts";
import { mayCall, mayReadMetrics, type CallerRules } from "./caller.ts";
import type { Health } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import { Refusal } from "./refusal.ts";
import type { ApiCall, ApiContext } from "./route.ts";
import { answerCall, routeOf } from "./routes.ts";

export interface ApiOptions extends ApiContext, CallerRules, BodyLimits {
  readonly health: Health;
  readonly metrics: Pick<Metrics, "contentType" | "text">;
  readonly version: string;
  /** The server is an application's own: paths below `/api/` that are no method of this API are left to it. */
  readonly guest: boolean;
}

/** Answers what belongs to the API; resolves with whether it did. Never rejects. */
export type ApiHandler = (request: HttpRequest, response: HttpResponse) => Promise<boolean>;

/** Longest idempotency key. */
const KEY_LENGTH = 128;

type Answer = (request: HttpRequest, response: HttpResponse) => Promise<void>;

export function createApi(options: ApiOptions): ApiHandler {
  const { health, metrics, version, guest } = options;
  const document = JSON.stringify(openApiDocument(version));
  const pages: Readonly<Record<string, Answer>> = {
    ...healthPages(health),
    "/metrics": async (request, response) => {
      if (!mayReadMetrics(request, options)) throw unauthorized();
      response.setHeader("content-type", metrics.contentType);
      response.end(await metrics.text());
    },
    "/api/openapi.json": async (_, response) => sendText(response, 200, document),
  };
  const answer = async (path: string, request: HttpRequest, response: HttpResponse): Promise<boolean> => {
    const method = path.startsWith("/api/") ? path.slice("/api/".length) : undefined;
    if (Object.hasOwn(pages, path)) await readOnly(pages[path], path, request, response);
    else if (method !== undefined && (routeOf(method) || !guest)) await call(options, method, request, response);
    else return false;
    return true;
  };
  return (request, response) => guarded(options, request, response, answer);
}

/** `/health` alone, for a listener that has no API. */
export function createHealthApi(options: Pick<ApiOptions, "health" | "report">): ApiHandler {
  const pages = healthPages(options.health);
  return (request, response) =>
    guarded(options, request, response, async (path) => {
      if (!Object.hasOwn(pages, path)) return false;
      await readOnly(pages[path], path, request, response);
      return true;
    });
}

function healthPages(health: Health): Record<string, Answer> {
  return {
    "/health": (_, response) => health.answer(response, "ready"),
    "/health/ready": (_, response) => health.answer(response, "ready"),
    "/health/live": (_, response) => health.answer(response, "live"),
  };
}

async function guarded(
  { report }: Pick<ApiOptions, "report">,
  request: HttpRequest,
  response: HttpResponse,
  answer: (path: string, request: HttpRequest, response: HttpResponse) => Promise<boolean>,
): Promise<boolean> {
  const path = pathOf(request);
  try {
    return await answer(path, request, response);
  } catch (error) {
    if (!(error instanceof Refusal)) report(path.split("/", 3).join("/"), error);
    sendRefusal(response, error);
    return true;
  }
}

async function readOnly(
  page: Answer | undefined,
  path: string,
  request: HttpRequest,
  response: HttpResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") throw wrongMethod(request, response, path, "GET");
  await page?.(request, response);
}

async function call(options: ApiOptions, method: string, request: HttpRequest, response: HttpResponse): Promise<void> {
  if (request.method !== "POST") throw wrongMethod(request, response, `/api/${method.slice(0, 64)}`, "POST");
  if (!mayCall(request, options)) throw unauthorized();
  const said = callOf(request);
  const answered = await answerCall(options, method, await readBody(request, options), said);
  const unknown = "error" in answered && answered.error.code === ERRORS.methodNotFound.code;
  const bare = "result" in answered && routeOf(method)?.bare === true;
  sendText(response, unknown ? 404 : 200, JSON.stringify(bare ? answered.result : answered));
}

function callOf({ headers }: HttpRequest): ApiCall {
  const given = headers["idempotency-key"] ?? headers["x-idempotency-key"];
  if (given === undefined) return {};
  const key = [given].flat().join(",");
  if (key.length > KEY_LENGTH) {
    throw new Refusal(
      400,
      new TodokuError(ERRORS.badRequest, `the header Idempotency-Key may have ${KEY_LENGTH} characters`),
    );
  }
  return key === "" ? {} : { idempotencyKey: key };
}

function unauthorized(): Refusal {
  return new Refusal(401, new TodokuError(ERRORS.unauthorized));
}

function wrongMethod({ method }: HttpRequest, response: HttpResponse, path: string, right: string): Refusal {
  response.setHeader("allow", right);
  return new Refusal(405, new TodokuError(ERRORS.badRequest, `${method} ${path}; use ${right}`));
}

function sendRefusal(response: HttpResponse, error: unknown): void {
  const { status, refused } =
    error instanceof Refusal ? error : new Refusal(500, new TodokuError(ERRORS.internal, undefined, { cause: error }));
  if (response.headersSent) return void response.destroy();
  // What is still to come of the body is not wanted.
  if (status === 413 || status === 408) response.setHeader("connection", "close");
  sendText(response, status, JSON.stringify({ error: { code: refused.code, message: refused.message } }));
}

function sendText(response: HttpResponse, status: number, body: string): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-content-type-options": "nosniff",
  });
  // All answers of a turn are written one behind the other: written apart, each wakes a caller on this machine that has just fallen
  // asleep, and that costs as much as all the rest of a small request.
  setImmediate(() => response.end(body));
}

function pathOf({ url = "/" }: HttpRequest): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}
