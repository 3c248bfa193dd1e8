/** The page at `/` that a newcomer plays with. */
import type { ApiHandler } from "../api/api.ts";
import type { Config } from "../config.ts";

export function servePage(_config: Config): ApiHandler {
  return async () => false;
}
