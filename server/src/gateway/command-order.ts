/** Which commands of a connection wait for which, and which are never turned away. */
import type { DecodedCommand, Method } from "@todoku/protocol";

export type RunnableCommand = Exclude<DecodedCommand, { readonly method: "pong" }>;

/** Later commands of the same channel or queue wait for these. */
export const WAITED_FOR: ReadonlySet<Method> = new Set(["subscribe", "unsubscribe", "consume", "unconsume"]);

/** Bounded by what is in flight, and so by no rate: one that was turned away unheard would stop delivery for good. */
export const RECEIPTS: ReadonlySet<Method> = new Set(["ack", "nack", "done", "fail", "extend"]);

/** The channel or queue that a command is about; `""` for none. */
export function channelOf(command: RunnableCommand): string {
  if (!("request" in command)) return "";
  if ("channel" in command.request) return command.request.channel;
  return "queue" in command.request ? command.request.queue : "";
}
