/** Reads the JSON body of a request, within bounds of size, time and depth. */
import { ERRORS, TodokuError, tooDeep } from "@todoku/protocol";
import type { Clock } from "../clock.ts";
import type { HttpRequest } from "../http-exchange.ts";
import { Refusal } from "./refusal.ts";

export interface BodyLimits {
  /** Largest body in bytes. */
  readonly bodyBytes: number;
  /** Deepest nesting of JSON. */
  readonly depth: number;
  readonly clock: Clock;
}

/** Time within which a body must have arrived. */
const BODY_MS = 30_000;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @throws Refusal 400, 408 or 413. */
export async function readBody(request: HttpRequest, limits: BodyLimits): Promise<unknown> {
  const value = request.readableEnded ? parsedBefore(request) : parse(await bytesOf(request, limits));
  if (tooDeep(value, limits.depth)) throw refusal(400, `the body is nested deeper than ${limits.depth}`);
  return value;
}

/** What a body parser of the application left behind. */
function parsedBefore(request: HttpRequest): unknown {
  const body: unknown = "body" in request ? request.body : undefined;
  if (typeof body === "object" && body !== null) return body;
  throw refusal(
    400,
    "the body was read before it came here. Put todoku's handler before the body parser, or let that parse JSON",
  );
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw refusal(400, "the body is not UTF-8");
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw refusal(400, "the body is not JSON");
  }
}

function bytesOf(request: HttpRequest, { bodyBytes, clock }: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Made only when it is needed: an error's stack costs more than all else here.
    const refuseLarge = (): void =>
      reject(new Refusal(413, new TodokuError(ERRORS.messageTooLarge, `a body may have ${bodyBytes} bytes`)));
    if (Number(request.headers["content-length"]) > bodyBytes) {
      request.resume();
      return refuseLarge();
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    const cancel = clock.after(BODY_MS, () => reject(refusal(408, "the body took too long")));
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bodyBytes) chunks.push(chunk);
      else refuseLarge();
    });
    request.on("end", () => resolve(joined(chunks)));
    request.on("error", () => reject(refusal(400, "the body broke off")));
    request.on("close", cancel);
  });
}

function joined(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  return first && chunks.length === 1 ? first : Buffer.concat(chunks);
}

function refusal(status: number, detail: string): Refusal {
  return new Refusal(status, new TodokuError(ERRORS.badRequest, detail));
}
