/** `batch`: several calls in one request. */
import { z } from "zod";
import type { ApiCall, ApiContext, Route } from "./route.ts";

const request = z.object({
  commands: z.array(z.record(z.string(), z.unknown())).min(1).max(10_000),
  parallel: z
    .boolean()
    .optional()
    .meta({ description: "Run them at once; default one after the other starts when the one before has started." }),
});

/** What answers one call. Never rejects. */
export type Answer = (method: string, request: unknown) => Promise<{ result: unknown } | { error: unknown }>;

/** `answer` runs one call. Publishes that follow each other are stored in their order either way. */
export function batchRoute(
  answer: (context: ApiContext, method: string, body: unknown, call: ApiCall) => ReturnType<Answer>,
): Route {
  return {
    method: "batch",
    summary: "Several calls in one request; replies come in the order of the commands.",
    request,
    result: z.object({ replies: z.array(z.record(z.string(), z.unknown())) }),
    run: async (context, body) => {
      const { commands } = request.parse(body);
      const replies = await Promise.all(
        commands.map(async (command) => {
          const [[method, params] = ["", undefined]] = Object.entries(command);
          const answered = await answer(context, method, params, {});
          return "result" in answered ? { [method]: answered.result } : { error: answered.error };
        }),
      );
      return { replies };
    },
  };
}
