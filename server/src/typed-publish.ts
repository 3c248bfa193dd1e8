/** Publishing from an application's code: typed channels, and data that is any value. */
import { checkChannel, ERRORS, TodokuError } from "@todoku/protocol";
import type { Namespace } from "./namespaces/namespace.ts";
import type { Published } from "./namespaces/publisher.ts";
import type { Platform } from "./platform.ts";

/** Which data travels on which channel; `Record<string, Json>` leaves it open. */
export type ChannelMap = Record<string, unknown>;

export interface PublishOptions {
  /** Idempotency key, 1 to 128 characters: within the namespace's window a repeat stores nothing and gives the first position. */
  readonly key?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** To a queue: the job is handed out from then on; milliseconds since 1970. */
  readonly deliverAt?: number;
  /** To a queue: the job is forgotten when nobody has taken it for so many milliseconds. */
  readonly ttlMs?: number;
}

/** @throws TodokuError 107 for no channel name or data that JSON cannot hold, 102 for a namespace that is not configured. */
export async function publishTo(
  platform: Platform,
  channel: string,
  data: unknown,
  options: PublishOptions = {},
): Promise<Published> {
  return platform.publisher.publish(namespaceOf(platform, channel), channel, textOf(data), options);
}

/** @throws TodokuError 107 for no channel name, 102 for a namespace that is not configured. */
export function namespaceOf({ namespaces }: Platform, channel: string): Namespace {
  const flaw = checkChannel(channel);
  if (flaw !== undefined) throw new TodokuError(ERRORS.badRequest, `channel ${flaw}`);
  const namespace = namespaces.of(channel);
  if (!namespace) throw new TodokuError(ERRORS.unknownChannel, `no namespace is configured for ${channel}`);
  return namespace;
}

function textOf(data: unknown): string {
  let text: unknown;
  try {
    text = JSON.stringify(data);
  } catch (error) {
    throw new TodokuError(ERRORS.badRequest, "data is nothing that JSON can hold", { cause: error });
  }
  // What JSON has no word for, such as undefined and functions.
  if (typeof text !== "string") throw new TodokuError(ERRORS.badRequest, "data is nothing that JSON can hold");
  return text;
}
