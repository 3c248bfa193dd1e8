/** What a failed call to Kafka means for the platform. */
import { BackboneError } from "../contract.ts";

/** Kafka's answers that a person must look at. */
const REFUSED =
  /AUTHORIZATION_FAILED|AUTHENTICATION|SASL|SECURITY_DISABLED|INVALID_CONFIG|INVALID_REPLICATION_FACTOR|INVALID_PARTITIONS|POLICY_VIOLATION|INVALID_TOPIC|UNSUPPORTED_VERSION|MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE|INVALID_RECORD/;
const FULL = /KAFKA_STORAGE_ERROR/;

/**
 * @param name The backbone's configured name.
 * @param sent Whether a failure without an answer may have taken effect.
 */
export function asBackboneError(name: string, error: unknown, sent: "read" | "write"): BackboneError {
  if (error instanceof BackboneError) return error;
  const words = wordsOf(error);
  if (REFUSED.test(words)) return new BackboneError("invalid", `[${name}] Kafka refused (${words})`, { cause: error });
  if (FULL.test(words)) return new BackboneError("full", `[${name}] Kafka cannot write (${words})`, { cause: error });
  const reason = sent === "read" ? "unavailable" : "unknown";
  return new BackboneError(reason, `[${name}] no answer from Kafka (${words})`, { cause: error });
}

export function unavailable(name: string, why: string, options?: ErrorOptions): BackboneError {
  return new BackboneError("unavailable", `[${name}] ${why}`, options);
}

export function invalid(name: string, why: string, options?: ErrorOptions): BackboneError {
  return new BackboneError("invalid", `[${name}] ${why}`, options);
}

/** The client wraps what happened several times over: the innermost says most. */
function wordsOf(error: unknown): string {
  const found: string[] = [];
  const look = (at: unknown, depth: number): void => {
    if (!(at instanceof Error) || depth > 6) return;
    if ("apiId" in at && typeof at.apiId === "string") found.push(`${at.apiId}: ${at.message}`);
    else if ("code" in at && at.code === "PLT_KFK_AUTHENTICATION") found.push(`AUTHENTICATION: ${at.message}`);
    else if (!(at instanceof AggregateError)) found.push(at.message);
    if (at instanceof AggregateError) for (const one of at.errors) look(one, depth + 1);
    look(at.cause, depth + 1);
  };
  look(error, 0);
  return [...new Set(found)].slice(-3).join("; ") || String(error);
}

/** Kafka's codes for the answers that this backbone acts on. */
export const CODE = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  MESSAGE_TOO_LARGE: 10,
  RECORD_LIST_TOO_LARGE: 18,
  TOPIC_AUTHORIZATION_FAILED: 29,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  DUPLICATE_SEQUENCE_NUMBER: 46,
  INVALID_PRODUCER_EPOCH: 47,
  UNKNOWN_PRODUCER_ID: 59,
  INVALID_RECORD: 87,
  UNKNOWN_TOPIC_ID: 100,
} as const;
