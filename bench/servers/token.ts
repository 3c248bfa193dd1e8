/** The token of all clients, for every server that checks tokens. */
import { signToken } from "../../server/src/auth/token.ts";

export const SECRET = "a secret of the benchmarks";

export function tokenOf(): Promise<string> {
  return signToken(SECRET, { user: "bench" });
}
