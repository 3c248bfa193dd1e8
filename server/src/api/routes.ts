/** All methods of the HTTP API, and how one call is answered. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import { batchRoute } from "./batch.ts";
import { disconnect, refresh, subscribe, unsubscribe } from "./connections.ts";
import { history, historyRemove } from "./history.ts";
import { channels, info, presence, presenceStats } from "./presence.ts";
import { broadcast, publish } from "./publish.ts";
import { QUEUE_ROUTES } from "./queues.ts";
import type { Answered, ApiCall, ApiContext, Route } from "./route.ts";

export const ROUTES: readonly Route[] = [
  publish,
  broadcast,
  batchRoute((context, method, body) => answerCall(context, method, body, {})),
  subscribe,
  unsubscribe,
  disconnect,
  refresh,
  presence,
  presenceStats,
  history,
  historyRemove,
  ...QUEUE_ROUTES,
  channels,
  info,
];

const BY_METHOD: ReadonlyMap<string, Route> = new Map(ROUTES.map((route) => [route.method, route]));

export function routeOf(method: string): Route | undefined {
  return BY_METHOD.get(method);
}

/** Runs one call. Never rejects: what went wrong is the answer. */
export async function answerCall(context: ApiContext, method: string, body: unknown, call: ApiCall): Promise<Answered> {
  try {
    const route = routeOf(method);
    if (!route) {
      throw new TodokuError(ERRORS.methodNotFound, `there are ${[...BY_METHOD.keys()].join(", ")}`);
    }
    return { result: await route.run(context, body, call) };
  } catch (error) {
    if (!(error instanceof TodokuError)) context.report(method, error);
    const { code, message } =
      error instanceof TodokuError ? error : new TodokuError(ERRORS.internal, undefined, { cause: error });
    return { error: { code, message } };
  }
}
