/** `batch`: several calls in one request. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import { z } from "zod";
import { route, type ApiContext, type Answered, type Route } from "./route.ts";

const BATCH = "batch";

const command = z
  .record(z.string(), z.unknown())
  .meta({ description: 'One method with its request, as in `{"publish": {…}}`.' });
const reply = z
  .record(z.string(), z.unknown())
  .meta({ description: "The method with its result, or `error` with code and message." });

/** `answer` runs one call and never rejects. */
export function batchRoute(answer: (context: ApiContext, method: string, body: unknown) => Promise<Answered>): Route {
  async function replyTo(context: ApiContext, command: Record<string, unknown>): Promise<Record<string, unknown>> {
    const methods = Object.keys(command);
    const [method = ""] = methods;
    if (methods.length !== 1) return refused(`a command has one method, not ${methods.length}`);
    if (method === BATCH) return refused("a batch cannot hold a batch");
    const answered = await answer(context, method, command[method]);
    return "result" in answered ? { [method]: answered.result } : { error: answered.error };
  }

  return route({
    method: BATCH,
    bare: true,
    summary: "Several calls in one request. A call that fails does not stop the others.",
    request: z.object({
      commands: z.array(command).min(1).max(10_000),
      parallel: z.boolean().optional().meta({
        description:
          "Begin all at once. Otherwise each begins when the one before has been answered, except that publishes in a row are stored together, in their order.",
      }),
    }),
    result: z.object({ replies: z.array(reply).meta({ description: "In the order of the commands." }) }),
    run: async (context, { commands, parallel = false }) => ({
      replies: parallel
        ? await Promise.all(commands.map((command) => replyTo(context, command)))
        : await inOrder(commands, (command) => replyTo(context, command)),
    }),
  });
}

/** One after the other. Publishes in a row need not wait for each other: they are stored in the order of their calls. */
async function inOrder<Command extends object, Reply>(
  commands: readonly Command[],
  run: (command: Command) => Promise<Reply>,
): Promise<Reply[]> {
  const replies: Reply[] = [];
  let publishes: Promise<Reply>[] = [];
  const settle = async (): Promise<void> => {
    for (const reply of await Promise.all(publishes)) replies.push(reply);
    publishes = [];
  };
  for (const command of commands) {
    if (Object.hasOwn(command, "publish")) {
      publishes.push(run(command));
      continue;
    }
    await settle();
    replies.push(await run(command));
  }
  await settle();
  return replies;
}

function refused(detail: string): { error: { code: number; message: string } } {
  const { code, message } = new TodokuError(ERRORS.badRequest, detail);
  return { error: { code, message } };
}
