/**
 * What crosses the socket most often, as lists instead of objects: half the work to write and to read, for the names of keys are
 * most of what there is to it. In a list, null stands for what is absent.
 */
import type { AppendOptions, Frame, Message } from "../contract.ts";
import type { Item } from "./wire.ts";

type Absent = null | undefined;
type PackedAppend = readonly [
  channel: string,
  id: string,
  time: number,
  data: string,
  ageMs?: number | Absent,
  messages?: number | Absent,
  bytes?: number | Absent,
  key?: string | Absent,
  windowMs?: number | Absent,
  info?: Message["info"] | Absent,
  tags?: Message["tags"] | Absent,
];
type PackedMessage = readonly [
  what: "message",
  channel: string,
  id: string,
  time: number,
  data: string,
  epoch?: string | Absent,
  offset?: number | Absent,
  prev?: number | Absent,
  info?: Message["info"] | Absent,
  tags?: Message["tags"] | Absent,
];
type MessageFrame = Extract<Frame, { kind: "message" }>;

/** The arguments of `log.append`. */
export function packAppend(channel: string, message: Message, { retention, dedupe }: AppendOptions): Item {
  const { id, time, data, info, tags } = message;
  const { ageMs, messages, bytes } = retention;
  const packed: PackedAppend = [
    channel,
    id,
    time,
    data,
    ageMs,
    messages,
    bytes,
    dedupe?.key,
    dedupe?.windowMs,
    info,
    tags,
  ];
  return trimmed(packed);
}

export function unpackAppend(given: Item): [channel: string, message: Message, options: AppendOptions] {
  const packed = given as unknown as PackedAppend;
  const [channel, id, time, data, ageMs, messages, bytes, key, windowMs, info, tags] = packed;
  const retention = {
    ...(typeof ageMs === "number" && { ageMs }),
    ...(typeof messages === "number" && { messages }),
    ...(typeof bytes === "number" && { bytes }),
  };
  const keyed = typeof key === "string" && typeof windowMs === "number" && { dedupe: { key, windowMs } };
  return [channel, messageOf(id, time, data, info, tags), { retention, ...keyed }];
}

/** The item that hands a frame to a process. */
export function packFrame(channel: string, frame: Frame): Item {
  if (frame.kind !== "message") return ["frame", channel, frame];
  const { message, position, prev } = frame;
  const { id, time, data, info, tags } = message;
  const { epoch, offset } = position ?? {};
  const packed: PackedMessage = ["message", channel, id, time, data, epoch, offset, prev, info, tags];
  return trimmed(packed);
}

/** The frame of an item that begins with `message`. */
export function unpackMessage(item: Item): MessageFrame {
  const [, , id, time, data, epoch, offset, prev, info, tags] = item as unknown as PackedMessage;
  return {
    kind: "message",
    message: messageOf(id, time, data, info, tags),
    ...(typeof epoch === "string" && typeof offset === "number" && { position: { epoch, offset } }),
    ...(typeof prev === "number" && { prev }),
  };
}

/** Without what is absent at its end. */
function trimmed(list: Item): Item {
  let length = list.length;
  while (length > 0 && list[length - 1] === undefined) length--;
  return length === list.length ? list : list.slice(0, length);
}

function messageOf(
  id: string,
  time: number,
  data: string,
  info: Message["info"] | Absent,
  tags: Message["tags"] | Absent,
): Message {
  return { id, time, data, ...(info && { info }), ...(tags && { tags }) };
}
