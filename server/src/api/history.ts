/** `history` and `history_remove`. */
import { ERRORS, TodokuError, type Json } from "@todoku/protocol";
import { z } from "zod";
import { historyOf } from "../gateway/history.ts";
import { offsetBefore } from "../gateway/time-in-log.ts";
import {
  channelField,
  empty,
  namespaceOfChannel,
  publicationResult,
  route,
  type ApiContext,
  type Route,
} from "./route.ts";

export const history: Route = route({
  method: "history",
  summary: "Messages that a channel keeps. Without a limit only the position; -1 for as many as are allowed.",
  request: z.object({
    channel: channelField,
    limit: z.int().min(-1).optional(),
    since: z.object({ offset: z.int().min(0).default(0), epoch: z.string().default("") }).optional(),
    reverse: z.boolean().optional(),
    from: z
      .int()
      .min(0)
      .optional()
      .describe(
        "Only what was accepted at this time or later, oldest first; milliseconds since 1970. Instead of `since`.",
      ),
  }),
  result: z.object({ publications: z.array(publicationResult), epoch: z.string(), offset: z.int().min(0) }),
  run: async (context, { channel, limit, since: given, reverse, from }) => {
    const namespace = namespaceOfChannel(context, channel);
    const { log } = namespace;
    if (from !== undefined && (given !== undefined || reverse === true)) {
      throw new TodokuError(
        ERRORS.badRequest,
        `from begins at ${from} and goes forward: leave out ${given ? "since" : "reverse"}`,
      );
    }
    const { messages, epoch, head } = await fromBackbone(context, "history", async () => {
      const since = log && from !== undefined ? { offset: await offsetBefore(log, channel, from), epoch: "" } : given;
      return historyOf(
        namespace,
        { channel, ...(limit !== undefined && { limit }), ...(since && { since }), ...(reverse && { reverse }) },
        context.history,
      );
    });
    return {
      publications: messages.map(({ data, ...rest }) => ({ data: JSON.parse(data) as Json, ...rest })),
      epoch,
      offset: head,
    };
  },
});

export const historyRemove: Route = route({
  method: "history_remove",
  summary: "Forget the messages that a channel keeps. Readers that were behind are told of a gap.",
  request: z.object({ channel: channelField }),
  result: empty,
  run: async (context, { channel }) => {
    const { log } = namespaceOfChannel(context, channel);
    if (!log) throw new TodokuError(ERRORS.notAvailable, `${channel} keeps no history`);
    await fromBackbone(context, "history_remove", () => log.remove(channel));
    return {};
  },
});

/** @throws TodokuError 402 for what the backbone could not do, once it has been reported. */
async function fromBackbone<T>({ report }: ApiContext, method: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof TodokuError ? error.cause : error;
    if (cause !== undefined) report(method, cause);
    throw error instanceof TodokuError
      ? error
      : new TodokuError(ERRORS.backboneUnavailable, undefined, { cause: error });
  }
}
