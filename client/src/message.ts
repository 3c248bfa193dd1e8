/** What a subscription hands to its handler. */
import type { ClientInfo, Gap as WireGap, Json, Position, Publication } from "@todoku/protocol";

/** One message of a channel. */
export interface Message<Data = Json> {
  readonly channel: string;
  readonly data: Data;
  /** Its place in the channel's log; absent on channels that keep no log. */
  readonly offset?: number;
  /** The unbroken life of the log that `offset` belongs to. */
  readonly epoch?: string;
  /** The message's own name, the same for every receiver. */
  readonly id?: string;
  /** Milliseconds since 1970 at which the gateway accepted it. */
  readonly time?: number;
  /** Offset of the channel's message before this one. */
  readonly prev?: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** Who published it; absent for messages from the HTTP API. */
  readonly info?: ClientInfo;
  /** It may have been handed to a handler before: by this client, or to the same durable subscription. */
  readonly redelivered: boolean;
}

/**
 * Stands in the place of messages that cannot be delivered. Reasons: the log no longer keeps them (`retention`); the log's
 * history may have been lost (`epoch`); the reader was too slow for a channel that keeps nothing (`dropped`: `to` is how
 * many); handling failed too often and the message went to the dead letters (`failed`).
 */
export interface Gap extends Readonly<WireGap> {
  readonly channel: string;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

export function messageOf<Data>(channel: string, publication: Publication, epoch: string | undefined): Message<Data> {
  const { data, redelivered = false } = publication;
  const message: Writable<Message<Data>> = { ...publication, data: data as Data, channel, redelivered };
  if (publication.offset !== undefined && epoch !== undefined) message.epoch = epoch;
  return message;
}

export function positionOf({ epoch, offset }: { epoch?: string; offset?: number }): Position | undefined {
  return epoch === undefined ? undefined : { epoch, offset: offset ?? 0 };
}
