/** Calls of the HTTP API, with errors that say what to do. */
import { z } from "zod";
import type { ServerAddress } from "./server-address.ts";
import { CommandError, EXIT } from "./command.ts";

/** A call is given up after this time; its outcome is then unknown. */
const ANSWER_MS = 30_000;

/** A batch has its replies at the top, with no `result` around them. */
const answer = z.union([
  z.object({ result: z.unknown() }),
  z.object({ replies: z.array(z.unknown()) }),
  z.object({ error: z.object({ code: z.int(), message: z.string() }) }),
]);

/** What the server said no with. */
export class ApiRefusal extends CommandError {
  readonly code: number;

  constructor(code: number, message: string) {
    super(EXIT.failed, message);
    this.code = code;
  }
}

/** There was no answer. */
export class Unanswered extends CommandError {
  /** Whether the call may have reached the server. */
  readonly sent: boolean;

  constructor(sent: boolean, message: string, options: ErrorOptions) {
    super(EXIT.unavailable, message, options);
    this.sent = sent;
  }
}

export class ApiClient {
  readonly url: string;
  readonly #apiKey: string | undefined;
  readonly #stopped: AbortSignal;

  constructor({ url, apiKey }: ServerAddress, stopped: AbortSignal) {
    this.url = url;
    this.#apiKey = apiKey;
    this.#stopped = stopped;
  }

  /** @throws ApiRefusal, Unanswered; CommandError when what answers is no todoku server. */
  async call<Result extends z.ZodType>(method: string, body: unknown, result: Result): Promise<z.output<Result>> {
    const response = await this.#post(method, JSON.stringify(body));
    const parsed = answer.safeParse(parseAnswer(response.text));
    if (!parsed.success) throw this.#stranger(response.status);
    if ("error" in parsed.data) {
      const { code, message } = parsed.data.error;
      throw new ApiRefusal(code, `${message}${response.status === 401 ? this.#keyHint() : ""}`);
    }
    const checked = result.safeParse("result" in parsed.data ? parsed.data.result : parsed.data);
    if (!checked.success) throw this.#stranger(response.status);
    return checked.data;
  }

  async #post(method: string, body: string): Promise<{ status: number; text: string }> {
    try {
      const response = await fetch(`${this.url}/api/${method}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(this.#apiKey !== undefined && { "x-api-key": this.#apiKey }),
        },
        body,
        // A redirect would hand the key to somebody else.
        redirect: "error",
        signal: AbortSignal.any([this.#stopped, AbortSignal.timeout(ANSWER_MS)]),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      throw unanswered(this.url, error);
    }
  }

  #keyHint(): string {
    return this.#apiKey === undefined
      ? `: ${this.url} wants an API key. Set $TODOKU_API_KEY or --api-key, or run this where its todoku.yaml is`
      : `: ${this.url} does not know this API key. Compare it with auth.api_keys`;
  }

  #stranger(status: number): CommandError {
    return new CommandError(
      EXIT.failed,
      `what answers at ${this.url} is not a todoku API (HTTP ${status}). With an internal listener the API is there: set --url`,
    );
  }
}

/** Why there was no answer, and what to do about it. */
export function unanswered(url: string, error: unknown): Unanswered {
  const reason = reasonOf(error);
  const refused = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "bad port"].includes(
    reason,
  );
  return new Unanswered(
    !refused,
    `cannot reach ${url} (${reason}). Is it running? Start it with \`todoku serve\`, or set --url`,
    { cause: error },
  );
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${ANSWER_MS / 1000} s`;
  if (error.cause !== undefined) return reasonOf(error.cause);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
