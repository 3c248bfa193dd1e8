/** Errors made from what the server said. */
import {
  CLIENT_ERRORS,
  CLOSES,
  ERRORS,
  TodokuError,
  UNSUBSCRIBES,
  reconnects,
  type Code,
  type ErrorReply,
} from "@todoku/protocol";

/** An error reply as it came. */
export function replyError({ code, message, temporary = false }: ErrorReply): TodokuError {
  return fromCode(ERRORS, code, message, temporary ? "retry" : "stop");
}

/** A closed connection. */
export function closeError(code: number, reason: string): TodokuError {
  const message = reason === "" ? `connection closed (${code})` : reason;
  return fromCode(CLOSES, code, message, reconnects(code) ? "retry" : "stop");
}

/** A subscription that the server ended. */
export function unsubscribeError(code: number, reason: string): TodokuError {
  return fromCode(UNSUBSCRIBES, code, reason, code >= 2500 ? "retry" : "stop");
}

/** Anything that was thrown, as this kind of error. */
export function asError(error: unknown, code: Code, detail: string): TodokuError {
  return error instanceof TodokuError ? error : new TodokuError(code, detail, { cause: error });
}

export function unreachable(detail: string): TodokuError {
  return new TodokuError(CLIENT_ERRORS.unreachable, detail);
}

/** The table's row for a code, with the words that came with it; codes of a newer server are taken as they are. */
function fromCode(
  table: Readonly<Record<string, Code>>,
  code: number,
  message: string,
  retry: Code["retry"],
): TodokuError {
  const known = Object.values(table).find((row) => row.code === code);
  return new TodokuError({ code, name: known?.name ?? "unknown", message, retry: known?.retry ?? retry });
}
