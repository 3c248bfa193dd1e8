/** Records as a partition has them, and our messages in them. */
import { checkChannel, namespaceOf, type ClientInfo, type Epoch, type Position } from "@todoku/protocol";
import type { AppendOptions, Message } from "../contract.ts";

/** A record to be written. */
export interface NewRecord {
  readonly key: Buffer;
  /** Null, in a compacted topic: the key is to be forgotten. */
  readonly value: Buffer | null;
  readonly headers?: Map<Buffer, Buffer>;
  /** In ms since 1970; absent: when it is sent. */
  readonly timestamp?: number;
  /** What every reader will take it for, where that is known. */
  readonly meaning?: Meaning;
}

/** A record at its place in a partition. */
export interface PlacedRecord {
  readonly offset: number;
  /** The record's own, in ms since 1970. */
  readonly time: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [Buffer | null, Buffer | null])[];
}

/** What a record means to us. */
export type Meaning =
  | {
      readonly kind: "message";
      readonly channel: string;
      readonly message: Message;
      /** Idempotency key, and for how long it is remembered. */
      readonly key?: string;
      readonly windowMs: number;
    }
  /** From here on the channel's older messages are not served. */
  | { readonly kind: "remove"; readonly channel: string }
  /** The log was cut back: from here on it has this epoch, for whoever knew it by one that this one forks from. */
  | { readonly kind: "epoch"; readonly channel?: undefined; readonly lineage: Required<Epoch> }
  /** Neither ours nor a plain message. */
  | { readonly kind: "malformed"; readonly channel?: string };

const HEADER = {
  id: Buffer.from("todoku-id"),
  time: Buffer.from("todoku-time"),
  key: Buffer.from("todoku-key"),
  window: Buffer.from("todoku-window"),
  info: Buffer.from("todoku-info"),
  tags: Buffer.from("todoku-tags"),
  control: Buffer.from("todoku-control"),
  /** What a value is that is no JSON; as other programs call it. */
  type: Buffer.from("content-type"),
} as const;

/** How long the key of another program's record is remembered, where it does not say. */
const WINDOW_MS = 600_000;

/** No channel is called so. */
const EPOCH_CHANNEL = "$epoch";

/** The record of a message, without its place. Any Kafka consumer can read it: key = channel, value = data. */
export function recordOf(channel: string, message: Message, dedupe: AppendOptions["dedupe"]): NewRecord {
  const { id, time, data, info, tags } = message;
  const headers = new Map<Buffer, Buffer>();
  headers.set(HEADER.id, Buffer.from(id));
  headers.set(HEADER.time, Buffer.from(String(time)));
  if (dedupe) {
    headers.set(HEADER.key, Buffer.from(dedupe.key));
    headers.set(HEADER.window, Buffer.from(String(dedupe.windowMs)));
  }
  if (info) headers.set(HEADER.info, Buffer.from(JSON.stringify(info)));
  if (tags) headers.set(HEADER.tags, Buffer.from(JSON.stringify(tags)));
  const meaning = meaningWhenRead(channel, message, dedupe);
  return { key: Buffer.from(channel), value: Buffer.from(data), headers, timestamp: time, ...(meaning && { meaning }) };
}

/** Absent where readers may find something else: a half of a surrogate pair is written as another character, and so on. */
function meaningWhenRead(channel: string, message: Message, dedupe: AppendOptions["dedupe"]): Meaning | undefined {
  const { id, time, data } = message;
  if (!Number.isSafeInteger(time) || !id.isWellFormed() || !data.isWellFormed()) return undefined;
  if (checkChannel(channel) !== undefined) return undefined;
  if (!dedupe) return { kind: "message", channel, message, windowMs: WINDOW_MS };
  const { key, windowMs } = dedupe;
  return key.isWellFormed() && windowMs >= 0 ? { kind: "message", channel, message, windowMs, key } : undefined;
}

/** The record after which a channel's older messages are not served. `time` is in ms since 1970. */
export function removalOf(channel: string, time: number): NewRecord {
  const headers = new Map([[HEADER.control, Buffer.from("remove")]]);
  const record = { key: Buffer.from(channel), value: Buffer.from("null"), headers, timestamp: time };
  return checkChannel(channel) === undefined ? { ...record, meaning: { kind: "remove", channel } } : record;
}

/** The record after which the log has another epoch. */
export function epochRecord(lineage: Required<Epoch>): NewRecord {
  const headers = new Map([[HEADER.control, Buffer.from("epoch")]]);
  return { key: Buffer.from(EPOCH_CHANNEL), value: Buffer.from(JSON.stringify(lineage)), headers };
}

/**
 * Reads a record on the topic of `namespace`; `partition` names it where it has no name of its own. `isKnown` says of a channel that its name was
 * found in order before.
 */
export function meaningOf(
  record: PlacedRecord,
  namespace: string,
  partition: number,
  isKnown: (channel: string) => boolean = () => false,
): Meaning {
  if (!record.key) return { kind: "malformed" };
  const channel = record.key.toString();
  if (channel === EPOCH_CHANNEL) {
    const lineage = lineageOf(record.value);
    return lineage ? { kind: "epoch", lineage } : { kind: "malformed" };
  }
  if (!isKnown(channel) && (checkChannel(channel) !== undefined || namespaceOf(channel) !== namespace))
    return { kind: "malformed" };
  const { headers } = record;
  if (textOf(headers, HEADER.control) === "remove") return { kind: "remove", channel };
  const data = dataOf(record.value, textOf(headers, HEADER.type));
  const tags = parsed(textOf(headers, HEADER.tags));
  const info = parsed(textOf(headers, HEADER.info));
  if (data === undefined || !isTags(tags) || !isInfo(info)) return { kind: "malformed", channel };
  const key = textOf(headers, HEADER.key);
  const time = Number(textOf(headers, HEADER.time) ?? record.time);
  const windowMs = Number(textOf(headers, HEADER.window) ?? WINDOW_MS);
  if (!Number.isSafeInteger(time) || !(windowMs >= 0)) return { kind: "malformed", channel };
  const message: Message = {
    id: textOf(headers, HEADER.id) ?? `${partition}-${record.offset}`,
    time,
    data,
    ...(info !== undefined && { info }),
    ...(tags !== undefined && { tags }),
  };
  return { kind: "message", channel, message, windowMs, ...(key !== undefined && { key }) };
}

/** The last header with this name. Compared as bytes: most of what is asked for is not there, and a text of each name costs more. */
function textOf(headers: PlacedRecord["headers"], name: Buffer): string | undefined {
  for (let i = headers.length - 1; i >= 0; i--) {
    const [given, value] = headers[i] ?? [];
    if (given && value && given.length === name.length && given.equals(name)) return value.toString();
  }
  return undefined;
}

/** JSON text; text and bytes, where the record says that it has such, become a JSON string. */
function dataOf(value: Buffer | null, type: string = "application/json"): string | undefined {
  if (!value) return undefined;
  if (type.startsWith("text/")) return JSON.stringify(value.toString());
  if (!/json/.test(type)) return JSON.stringify(value.toString("base64"));
  const text = value.toString();
  return parsed(text) === BROKEN ? undefined : text;
}

const BROKEN = Symbol("not JSON");

function parsed(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return BROKEN;
  }
}

function lineageOf(value: Buffer | null): Required<Epoch> | undefined {
  const lineage = parsed(value?.toString());
  if (!isObject(lineage)) return undefined;
  const { epoch, forks } = lineage;
  if (typeof epoch !== "string" || !Array.isArray(forks)) return undefined;
  const isFork = (fork: unknown): fork is Position =>
    isObject(fork) && typeof fork["epoch"] === "string" && Number.isSafeInteger(fork["offset"]);
  return forks.every(isFork) ? { epoch, forks } : undefined;
}

export function isTags(value: unknown): value is Readonly<Record<string, string>> | undefined {
  return value === undefined || (isObject(value) && Object.values(value).every((one) => typeof one === "string"));
}

export function isInfo(value: unknown): value is ClientInfo | undefined {
  return (
    value === undefined || (isObject(value) && typeof value["user"] === "string" && typeof value["client"] === "string")
  );
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
