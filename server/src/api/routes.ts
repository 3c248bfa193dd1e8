/** All methods of the HTTP API, and how one call is answered. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import { batchRoute } from "./batch.ts";
import { disconnect, refresh, subscribe, unsubscribe } from "./connections.ts";
import { history, historyRemove } from "./history.ts";
import { channels, info, presence, presenceStats } from "./presence.ts";
import { broadcast, publish } from "./publish.ts";
import type { ApiCall, ApiContext, Route } from "./route.ts";

export interface ApiError {
  readonly code: number;
  readonly message: string;
}

export type Answered = { readonly result: unknown } | { readonly error: ApiError };

export const ROUTES: readonly Route[] = [
  publish,
  broadcast,
  batchRoute(answerCall),
  subscribe,
  unsubscribe,
  disconnect,
  refresh,
  presence,
  presenceStats,
  history,
  historyRemove,
  channels,
  info,
];

const BY_METHOD: ReadonlyMap<string, Route> = new Map(ROUTES.map((route) => [route.method, route]));

/** Runs one call. Never rejects: what went wrong is the answer. */
export async function answerCall(context: ApiContext, method: string, body: unknown, call: ApiCall): Promise<Answered> {
  try {
    const route = BY_METHOD.get(method);
    if (!route) {
      throw new TodokuError(ERRORS.methodNotFound, `there are ${[...BY_METHOD.keys()].join(", ")}`);
    }
    return { result: await route.run(context, body, call) };
  } catch (error) {
    const { code, message } =
      error instanceof TodokuError ? error : new TodokuError(ERRORS.internal, undefined, { cause: error });
    return { error: { code, message } };
  }
}
