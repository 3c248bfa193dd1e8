/** What a failed query means for the platform. */
import { BackboneError } from "../../backbones/contract.ts";
import { redact } from "../../redact.ts";

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: login refused, no such database, no rights, wrong tables. */
const INVALID = /^(28|3D|42)/;
const FULL = /^(53100|53200|54)/;

export function asBackboneError(name: string, url: string, error: unknown): BackboneError {
  if (error instanceof BackboneError) return error;
  const words = redact(error instanceof Error ? error.message || String(error) : String(error));
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (INVALID.test(code)) {
    return new BackboneError(
      "invalid",
      `[${name}] PostgreSQL at ${redact(url)} refused (${code}: ${words}). Check the url and the rights of its user`,
      { cause: error },
    );
  }
  if (FULL.test(code))
    return new BackboneError("full", `[${name}] PostgreSQL has no room (${code}: ${words})`, { cause: error });
  return new BackboneError(
    "unavailable",
    `[${name}] cannot reach PostgreSQL at ${redact(url)} (${words}). Is it running? Set storage.${name}.url`,
    { cause: error },
  );
}
