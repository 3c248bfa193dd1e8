/** URLs without their passwords and query strings. */
export function redact(text: string): string {
  return text.replace(
    /([a-z][a-z0-9+.-]*:\/\/)([^\s/@]+@)?([^\s?]*)(\?\S*)?/gi,
    (_, scheme: string, login: string | undefined, rest: string, query: string | undefined) =>
      `${scheme}${login ? "***@" : ""}${rest}${query ? "?***" : ""}`,
  );
}
