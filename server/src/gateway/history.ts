/** The `history` command: a piece of a channel's log. */
import { ERRORS, TodokuError, inEpoch, type HistoryRequest } from "@todoku/protocol";
import type { Range } from "../backbones/contract.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { allow } from "./access.ts";
import type { Call } from "./call.ts";
import { historyReply } from "./replies.ts";

/** What limits one history answer. */
export interface HistoryLimits {
  readonly messages: number;
  readonly bytes: number;
}

export async function readHistory({ session, id, answer }: Call, request: HistoryRequest): Promise<void> {
  const namespace = allow(session, request.channel, "history");
  const { history_limit, queue_bytes } = session.context.limits;
  const range = await historyOf(namespace, request, { messages: history_limit, bytes: queue_bytes });
  answer(historyReply(id, range, session.extended ? "extended" : "plain"));
}

/**
 * Messages after (or, in reverse, before) `since`. `limit` 0 or absent: the position only; -1: as many as are allowed.
 *
 * @throws TodokuError 108 where nothing is kept, 112 for another epoch, 402 when the log cannot be read.
 */
export async function historyOf(namespace: Namespace, request: HistoryRequest, limits: HistoryLimits): Promise<Range> {
  const { channel, limit = 0, since, reverse = false } = request;
  const { log } = namespace;
  if (!log) throw new TodokuError(ERRORS.notAvailable, `${channel} keeps no history`);
  const most = limit < 0 ? limits.messages : Math.min(limit, limits.messages);
  try {
    const range = await log.read(channel, {
      limit: Math.max(1, most),
      maxBytes: limits.bytes,
      reverse,
      ...(since && { after: since.offset ?? 0 }),
    });
    if (since?.epoch && !inEpoch({ epoch: since.epoch, offset: since.offset ?? 0 }, range))
      throw new TodokuError(ERRORS.unrecoverablePosition);
    return most === 0 ? { ...range, messages: [] } : range;
  } catch (error) {
    if (error instanceof TodokuError) throw error;
    throw new TodokuError(ERRORS.backboneUnavailable, undefined, { cause: error });
  }
}
