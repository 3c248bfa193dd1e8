/** What a failed call to Redis means for the platform. */
import { BackboneError } from "../contract.ts";

/** Answers of a server that did nothing, and may do it later. */
const REFUSED =
  /^(LOADING|MASTERDOWN|CLUSTERDOWN|READONLY|TRYAGAIN|MOVED|ASK|BUSY|NOREPLICAS|NOTBUSY|UNKILLABLE|ERR max number of clients)/;
const FULL = /^(OOM|MISCONF)/;
/** The client's own words for a command that never left. */
const NOT_SENT = /enableOfflineQueue|Stream isn't writeable|Connection is closed|ECONNREFUSED|ENOTFOUND|not connected/i;

/**
 * @param name The backbone's configured name.
 * @param sent Whether a failure without an answer may have taken effect.
 */
export function asBackboneError(name: string, error: unknown, sent: "read" | "write"): BackboneError {
  if (error instanceof BackboneError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const words = scriptError(message);
  if (FULL.test(words)) {
    return new BackboneError(
      "full",
      `[${name}] Redis has no room (${words}). Raise maxmemory or shorten the retention`,
      { cause: error },
    );
  }
  if (REFUSED.test(words))
    return new BackboneError("unavailable", `[${name}] Redis cannot serve this now (${words})`, { cause: error });
  if (/^(NOAUTH|WRONGPASS|NOPERM|ERR)/.test(words)) {
    return new BackboneError("invalid", `[${name}] Redis refused (${words})`, { cause: error });
  }
  const reason = sent === "read" || NOT_SENT.test(message) ? "unavailable" : "unknown";
  return new BackboneError(reason, `[${name}] no answer from Redis (${message})`, { cause: error });
}

/** Whether the server did nothing because the key is held elsewhere, or will be shortly. */
export function isElsewhere(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|LOADING|MASTERDOWN|NOREPLICAS)/.test(scriptError(error.message))
  );
}

/** An error from within a script comes with the script's name around it. */
function scriptError(message: string): string {
  return message.replace(/^ERR (?=[A-Z]+ )/, "");
}
