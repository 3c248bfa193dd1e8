/** Records as a partition has them, and our messages in them. */
import type { RecordsBatch } from "@platformatic/kafka";
import { checkChannel, namespaceOf, type ClientInfo, type Epoch, type Position } from "@todoku/protocol";
import type { AppendOptions, Message } from "../contract.ts";

/** A record to be written. */
export interface NewRecord {
  readonly key: Buffer;
  /** Null, in a compacted topic: the key is to be forgotten. */
  readonly value: Buffer | null;
  readonly headers?: Map<Buffer, Buffer>;
  readonly timestamp?: bigint;
}

/** The records of one partition, as a fetch brings them. */
export interface FetchedRecords {
  readonly records?: readonly RecordsBatch[] | null;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[] | null;
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
  id: "todoku-id",
  time: "todoku-time",
  key: "todoku-key",
  window: "todoku-window",
  info: "todoku-info",
  tags: "todoku-tags",
  control: "todoku-control",
  /** What a value is that is no JSON; as other programs call it. */
  type: "content-type",
} as const;

/** How long the key of another program's record is remembered, where it does not say. */
const WINDOW_MS = 600_000;

/** No channel is called so. */
const EPOCH_KEY = Buffer.from("$epoch");

const LOG_APPEND_TIME = 1 << 3;
const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;

/** The record of a message, without its place. Any Kafka consumer can read it: key = channel, value = data. */
export function recordOf(channel: string, message: Message, dedupe: AppendOptions["dedupe"]): NewRecord {
  const { id, time, data, info, tags } = message;
  const headers = new Map<Buffer, Buffer>();
  const add = (name: string, value: string): unknown => headers.set(Buffer.from(name), Buffer.from(value));
  add(HEADER.id, id);
  add(HEADER.time, String(time));
  if (dedupe) {
    add(HEADER.key, dedupe.key);
    add(HEADER.window, String(dedupe.windowMs));
  }
  if (info) add(HEADER.info, JSON.stringify(info));
  if (tags) add(HEADER.tags, JSON.stringify(tags));
  return { key: Buffer.from(channel), value: Buffer.from(data), headers, timestamp: BigInt(time) };
}

/** The record after which a channel's older messages are not served. */
export function removalOf(channel: string): NewRecord {
  const headers = new Map([[Buffer.from(HEADER.control), Buffer.from("remove")]]);
  return { key: Buffer.from(channel), value: Buffer.from("null"), headers };
}

/** The record after which the log has another epoch. */
export function epochRecord(lineage: Required<Epoch>): NewRecord {
  const headers = new Map([[Buffer.from(HEADER.control), Buffer.from("epoch")]]);
  return { key: EPOCH_KEY, value: Buffer.from(JSON.stringify(lineage)), headers };
}

/** Reads a record on the topic of `namespace`; `id` names it where it has no name of its own. */
export function meaningOf(record: PlacedRecord, namespace: string, partition: number): Meaning {
  if (!record.key) return { kind: "malformed" };
  if (record.key.equals(EPOCH_KEY)) {
    const lineage = lineageOf(record.value);
    return lineage ? { kind: "epoch", lineage } : { kind: "malformed" };
  }
  const channel = record.key.toString();
  if (checkChannel(channel) !== undefined || namespaceOf(channel) !== namespace) return { kind: "malformed" };
  const headers = new Map<string, string>();
  for (const [name, value] of record.headers) if (name && value) headers.set(name.toString(), value.toString());
  if (headers.get(HEADER.control) === "remove") return { kind: "remove", channel };
  const data = dataOf(record.value, headers.get(HEADER.type));
  const tags = parsed(headers.get(HEADER.tags));
  const info = parsed(headers.get(HEADER.info));
  if (data === undefined || !isTags(tags) || !isInfo(info)) return { kind: "malformed", channel };
  const key = headers.get(HEADER.key);
  const time = Number(headers.get(HEADER.time) ?? record.time);
  const windowMs = Number(headers.get(HEADER.window) ?? WINDOW_MS);
  if (!Number.isSafeInteger(time) || !(windowMs >= 0)) return { kind: "malformed", channel };
  const message: Message = {
    id: headers.get(HEADER.id) ?? `${partition}-${record.offset}`,
    time,
    data,
    ...(info !== undefined && { info }),
    ...(tags !== undefined && { tags }),
  };
  return { kind: "message", channel, message, windowMs, ...(key !== undefined && { key }) };
}

/** The records of a fetch, in order; those of transactions that were aborted left out. `next` is where to go on. */
export function placedRecords(
  { records, abortedTransactions }: FetchedRecords,
  from: number,
): { readonly records: readonly PlacedRecord[]; readonly next: number } {
  const found: PlacedRecord[] = [];
  const aborted = [...(abortedTransactions ?? [])].toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  const abandoned = new Set<bigint>();
  let next = from;
  for (const batch of records ?? []) {
    const first = Number(batch.firstOffset);
    while (aborted[0] && Number(aborted[0].firstOffset) <= first) abandoned.add(aborted.shift()?.producerId ?? -1n);
    next = Math.max(next, first + batch.lastOffsetDelta + 1);
    if (batch.attributes & CONTROL) {
      abandoned.delete(batch.producerId);
      continue;
    }
    if (batch.attributes & TRANSACTIONAL && abandoned.has(batch.producerId)) continue;
    const appendTime = batch.attributes & LOG_APPEND_TIME ? Number(batch.maxTimestamp) : undefined;
    for (const { offsetDelta, timestampDelta, key, value, headers } of batch.records) {
      const offset = first + offsetDelta;
      if (offset < from) continue;
      found.push({ offset, time: appendTime ?? Number(batch.firstTimestamp + timestampDelta), key, value, headers });
    }
  }
  return { records: found, next };
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
