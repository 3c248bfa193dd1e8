/**
 * Whether a browser page of this origin may connect. A request without an `Origin` does not come from a page, and nothing
 * here authenticates by cookie, so it may. The server's own origin may always; `*` in the list allows every page.
 */
export function mayConnectFrom(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes("*") || allowed.includes(origin)) return true;
  return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
}
