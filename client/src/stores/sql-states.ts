/** What a failure of PostgreSQL means, by its SQLSTATE: whether another try may do better. */

/**
 * Classes of SQLSTATE that another try may not meet again: lost connections, transactions that got in each other's way, no
 * resources, a lock that was not had, a transaction that PostgreSQL has ended because it stood still or took too long, a server that
 * is shut down, starts, or has become a replica, a broken system.
 */
const PASSING = /^(?:08|40|53|55P03|25P03|25P04|57P|25006|58)/;

export function isPassing(cause: unknown): boolean {
  return PASSING.test(sqlState(cause) ?? "");
}

/**
 * The statement was cancelled, or took too long: an effect may always do so, while the store's own statements wait for somebody
 * else. Or an earlier statement of its transaction, one of the caller's, had failed.
 */
const CUT_SHORT = /^(?:57014|25P02)/;

/** Of a statement of the store: it says nothing of the table, and another try may be better. */
export function isOfTheMoment(cause: unknown): boolean {
  return isPassing(cause) || CUT_SHORT.test(sqlState(cause) ?? "");
}

export function isSaidByDatabase(cause: unknown): boolean {
  return sqlState(cause) !== undefined;
}

/** Of an error that PostgreSQL itself has answered; other errors have codes too. */
export function sqlState(cause: unknown): string | undefined {
  const { severity, code } = (cause ?? {}) as { readonly severity?: unknown; readonly code?: unknown };
  return typeof severity === "string" && typeof code === "string" ? code : undefined;
}
