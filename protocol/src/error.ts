import type { Code, Retry } from "./codes.ts";

/** The one error of this project: a row of the table of codes, with what was wrong in this case. */
export class TodokuError extends Error {
  override readonly name = "TodokuError";
  readonly code: number;
  /** The code's stable name. */
  readonly reason: string;
  readonly retry: Retry;

  /** `detail` names the culprit, the value and the way out; never a secret, a token or a payload. */
  constructor(code: Code, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? code.message : `${code.message}: ${detail}`, options);
    this.code = code.code;
    this.reason = code.name;
    this.retry = code.retry;
  }
}
