/**
 * The one table of codes. Numbers below 400 and the close codes are the base protocol's; 400–499 and 2001–2499 are
 * todoku's own. docs/reference/codes.md is made from this table, and a test compares the two.
 */

/** What the receiver of a code should do about it. */
export type Retry =
  /** Try again, after a delay that grows. */
  | "retry"
  /** Get a new token first. */
  | "refresh"
  /** Trying again changes nothing. */
  | "stop";

export interface Code {
  readonly code: number;
  /** Stable name, used in metrics, logs and the SDK. */
  readonly name: string;
  /** What the receiver reads; never holds a secret, a token or a payload. */
  readonly message: string;
  readonly retry: Retry;
}

/** Errors that answer one command or one API call. */
export const ERRORS = {
  internal: { code: 100, name: "internal", message: "internal server error", retry: "retry" },
  unauthorized: { code: 101, name: "unauthorized", message: "unauthorized", retry: "stop" },
  unknownChannel: { code: 102, name: "unknown_channel", message: "unknown channel", retry: "stop" },
  permissionDenied: { code: 103, name: "permission_denied", message: "permission denied", retry: "stop" },
  methodNotFound: { code: 104, name: "method_not_found", message: "method not found", retry: "stop" },
  alreadySubscribed: { code: 105, name: "already_subscribed", message: "already subscribed", retry: "stop" },
  limitExceeded: { code: 106, name: "limit_exceeded", message: "limit exceeded", retry: "stop" },
  badRequest: { code: 107, name: "bad_request", message: "bad request", retry: "stop" },
  notAvailable: { code: 108, name: "not_available", message: "not available", retry: "stop" },
  tokenExpired: { code: 109, name: "token_expired", message: "token expired", retry: "refresh" },
  expired: { code: 110, name: "expired", message: "expired", retry: "stop" },
  tooManyRequests: { code: 111, name: "too_many_requests", message: "too many requests", retry: "retry" },
  unrecoverablePosition: {
    code: 112,
    name: "unrecoverable_position",
    message: "unrecoverable position",
    retry: "stop",
  },
  messageTooLarge: { code: 400, name: "message_too_large", message: "message too large", retry: "stop" },
  keyExpired: {
    code: 401,
    name: "key_expired",
    message: "retry is older than the deduplication window",
    retry: "stop",
  },
  backboneUnavailable: {
    code: 402,
    name: "backbone_unavailable",
    message: "backbone unavailable, nothing was stored",
    retry: "retry",
  },
  outcomeUnknown: {
    code: 403,
    name: "outcome_unknown",
    message: "outcome unknown, repeat with the same key",
    retry: "retry",
  },
  takenOver: {
    code: 404,
    name: "taken_over",
    message: "durable subscription was taken over by another connection",
    retry: "stop",
  },
  storageFull: {
    code: 405,
    name: "storage_full",
    message: "no space left for messages, nothing was stored",
    retry: "retry",
  },
  leaseLost: {
    code: 406,
    name: "lease_lost",
    message: "the lease has ended, nothing was done",
    retry: "stop",
  },
} as const;

/** What a client reports of itself. These never cross the wire. */
export const CLIENT_ERRORS = {
  unreachable: { code: 450, name: "unreachable", message: "no answer from the server", retry: "retry" },
  clientClosed: { code: 451, name: "client_closed", message: "client is closed", retry: "stop" },
  aborted: { code: 452, name: "aborted", message: "aborted", retry: "stop" },
  handlerFailed: { code: 453, name: "handler_failed", message: "handler failed", retry: "stop" },
  cursorStoreFailed: { code: 454, name: "cursor_store_failed", message: "cursor store failed", retry: "stop" },
  tokenFailed: { code: 455, name: "token_failed", message: "no token could be had", retry: "retry" },
} as const;

/** Reasons why the server ends one subscription. At 2500 and above the client subscribes again. */
export const UNSUBSCRIBES = {
  byServer: { code: 2000, name: "unsubscribed_by_server", message: "unsubscribed by server", retry: "stop" },
  takenOver: { code: 2001, name: "taken_over", message: "taken over by another connection", retry: "stop" },
  maxAttempts: { code: 2002, name: "max_attempts", message: "a message failed too often", retry: "stop" },
  permissionRevoked: { code: 2003, name: "permission_revoked", message: "permission revoked", retry: "stop" },
  insufficientState: { code: 2500, name: "insufficient_state", message: "insufficient state", retry: "retry" },
  expired: { code: 2501, name: "subscription_expired", message: "subscription expired", retry: "refresh" },
} as const;

/** Close codes. 3000–3499 and 4000–4499 mean reconnect; 3500–3999 and 4500–4999 do not. */
export const CLOSES = {
  closed: { code: 3000, name: "closed", message: "connection closed", retry: "retry" },
  shutdown: { code: 3001, name: "shutdown", message: "shutdown, reconnect elsewhere", retry: "retry" },
  internal: { code: 3004, name: "internal", message: "internal server error", retry: "retry" },
  expired: { code: 3005, name: "expired", message: "connection expired", retry: "refresh" },
  slow: { code: 3008, name: "slow", message: "slow reader", retry: "retry" },
  insufficientState: { code: 3010, name: "insufficient_state", message: "insufficient state", retry: "retry" },
  reconnect: { code: 3011, name: "reconnect", message: "reconnect", retry: "retry" },
  noPong: { code: 3012, name: "no_pong", message: "no pong", retry: "retry" },
  tooManyRequests: { code: 3013, name: "too_many_requests", message: "too many requests", retry: "retry" },
  invalidToken: { code: 3500, name: "invalid_token", message: "invalid token", retry: "stop" },
  badRequest: { code: 3501, name: "bad_request", message: "bad request", retry: "stop" },
  stale: { code: 3502, name: "stale", message: "no connect in time", retry: "stop" },
  doNotReconnect: { code: 3503, name: "do_not_reconnect", message: "do not reconnect", retry: "stop" },
  connectionLimit: { code: 3504, name: "connection_limit", message: "connection limit", retry: "stop" },
  channelLimit: { code: 3505, name: "channel_limit", message: "channel limit", retry: "stop" },
  permissionDenied: { code: 3507, name: "permission_denied", message: "permission denied", retry: "stop" },
} as const;

/** Whether a client reconnects after a close with this code. Codes below 3000 (the transport's own) mean yes. */
export function reconnects(closeCode: number): boolean {
  return !((closeCode >= 3500 && closeCode < 4000) || (closeCode >= 4500 && closeCode < 5000));
}
