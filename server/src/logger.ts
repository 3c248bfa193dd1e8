/** What the program writes about itself: lines of JSON on standard error. Never a payload, a token or a key. */
import { pino, type DestinationStream, type Logger } from "pino";
import type { Config } from "./config.ts";
import { redact } from "./redact.ts";

export type { Logger } from "pino";

/** Causes of causes are followed so far. */
const DEEPEST_CAUSE = 8;

/** `destination` is standard error unless it is given. */
export function createLogger(
  { level }: Config["log"],
  destination: NodeJS.WritableStream | DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (error: unknown) => describe(error, 0) },
    },
    destination,
  );
}

/** An error with its causes, and with the passwords of URLs taken out. */
function describe(error: unknown, depth: number): unknown {
  if (!(error instanceof Error)) return redact(String(error));
  const { name, message, stack, cause } = error;
  return {
    name,
    message: redact(message),
    stack: redact(stack ?? ""),
    ...(cause !== undefined && depth < DEEPEST_CAUSE && { cause: describe(cause, depth + 1) }),
  };
}
