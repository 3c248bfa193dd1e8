/** One publication on its way to many connections: encoded once per encoding, and shared by all. */
import { encodePublication, publicationText, type Position, type PublicationFields } from "@todoku/protocol";
import type { Message } from "../backbones/contract.ts";
import { Parcel } from "./parcel.ts";

/** `plain` is the base protocol's publication; `extended` adds id, time and prev. */
export type Encoding = "plain" | "extended";

export class SharedPublication {
  readonly channel: string;
  readonly message: Message;
  /** Absent on channels without a log. */
  readonly position: Position | undefined;
  /** The offset before it. */
  readonly prev: number | undefined;
  #plain: Parcel | undefined;
  #extended: Parcel | undefined;

  constructor(channel: string, message: Message, position?: Position, prev?: number) {
    this.channel = channel;
    this.message = message;
    this.position = position;
    this.prev = prev;
  }

  get offset(): number | undefined {
    return this.position?.offset;
  }

  /** The push frame. */
  parcel(encoding: Encoding): Parcel {
    if (encoding === "plain") return (this.#plain ??= this.#encode("plain"));
    return (this.#extended ??= this.#encode("extended"));
  }

  /** The push frame for a receiver that may have seen it before. */
  redelivered(): Parcel {
    return this.#encode("extended", true);
  }

  /** The fields around `data`, as this encoding shows them. */
  fields(encoding: Encoding, redelivered = false): PublicationFields {
    return publicationFields(this.message, encoding, this.offset, this.prev, redelivered);
  }

  #encode(encoding: Encoding, redelivered = false): Parcel {
    return new Parcel(encodePublication(this.channel, this.message.data, this.fields(encoding, redelivered)));
  }
}

/** Publications in the order of the log, which are put into the replies to all who resume from the same place. */
export class SharedPublications {
  readonly list: readonly SharedPublication[];
  #plain: string | undefined;
  #extended: string | undefined;

  constructor(list: readonly SharedPublication[]) {
    this.list = list;
  }

  /** As they stand in a JSON array, without its brackets. */
  text(encoding: Encoding): string {
    if (encoding === "plain") return (this.#plain ??= this.#encode("plain"));
    return (this.#extended ??= this.#encode("extended"));
  }

  #encode(encoding: Encoding): string {
    return this.list.map((one) => publicationText(one.message.data, one.fields(encoding))).join(",");
  }
}

/** The push frame of a signal, which is the JSON text of `{"join":{…}}` or `{"leave":{…}}`: spliced in, not parsed. */
export function signalParcel(channel: string, signal: string): Parcel {
  return new Parcel(`{"push":{"channel":${JSON.stringify(channel)},${signal.slice(1)}}`);
}

/** The fields around a message's `data`; `prev` and `redelivered` show in the extended encoding only. */
export function publicationFields(
  { id, time, info, tags }: Message,
  encoding: Encoding,
  offset: number | undefined,
  prev?: number,
  redelivered = false,
): PublicationFields {
  const fields: PublicationFields = {};
  if (offset !== undefined) fields.offset = offset;
  if (info) fields.info = info;
  if (tags) fields.tags = tags;
  if (encoding === "plain") return fields;
  fields.id = id;
  fields.time = time;
  if (prev !== undefined) fields.prev = prev;
  if (redelivered) fields.redelivered = true;
  return fields;
}
