/** What each operation of the contract does to the rows. Everything that writes runs inside a transaction. */
import { createHash } from "node:crypto";
import { namespaceOf } from "@todoku/protocol";
import {
  BackboneError,
  type AppendOptions,
  type Appended,
  type ChannelPage,
  type ClaimedCursor,
  type CursorKey,
  type CursorOutcome,
  type CursorWrite,
  type Message,
  type Range,
  type ReadOptions,
  type StoredMessage,
} from "../contract.ts";
import { movesBack, nextFence } from "../cursor-order.ts";
import { schedule, trim } from "./retention.ts";
import type { Room } from "./room.ts";
import type { MessageRow, Store } from "./store.ts";

const CHANNELS_PER_PAGE = 1000;

/** Longer keys are replaced by their hash: LMDB's keys have at most 1,978 bytes. */
const LONGEST_NAME = 1000;

/** @throws BackboneError `full`, before anything is written, if `room` has none. */
export function appendRow(
  store: Store,
  channel: string,
  message: Message,
  { retention, dedupe }: AppendOptions,
  now: number,
  room?: Pick<Room, "take">,
): Appended {
  const { epoch } = store;
  const row = store.channels.open(channel);
  if (dedupe) {
    const known = store.keys.find(channel, dedupe.key, now);
    if (known !== undefined) return { epoch, offset: known, duplicate: true };
  }
  const bytes = Buffer.byteLength(message.data);
  room?.take(bytes);
  row.head++;
  if (dedupe) store.keys.remember(channel, dedupe.key, row.head, now + dedupe.windowMs);
  row.bytes += bytes;
  row.retention = retention;
  store.messages.putSync([channel, row.head], toRow(message));
  trim(store, channel, row);
  schedule(store, channel, row, message.time);
  store.channels.put(channel, row);
  return { epoch, offset: row.head, duplicate: false };
}

/** @throws BackboneError `invalid` if a message is missing that was stored and not removed: the file is damaged. */
export function readRange(
  store: Store,
  channel: string,
  { after, limit, maxBytes = Number.POSITIVE_INFINITY, reverse = false }: ReadOptions,
): Range {
  const { head = 0, trimmed = 0 } = store.channels.get(channel) ?? {};
  const forward = { start: [channel, Math.max(after ?? 0, trimmed) + 1], end: [channel, head + 1] };
  const backward = { start: [channel, Math.min(after ?? head + 1, head + 1) - 1], end: [channel, trimmed], reverse };
  const range = (reverse ? backward : forward) as { start: [string, number]; end: [string, number] };
  const messages: StoredMessage[] = [];
  let bytes = 0;
  // Offsets are contiguous. LMDB has no checksums: this is where a damaged page would become a silent loss.
  let [, expected] = range.start;
  for (const { key, value } of store.messages.getRange({ ...range, limit })) {
    if (key[1] !== expected) throw missing(store, channel, expected);
    expected += reverse ? -1 : 1;
    messages.push(fromRow(value, key[1]));
    bytes += Buffer.byteLength(value[2]);
    if (bytes >= maxBytes) break;
  }
  const more = reverse ? expected > trimmed : expected <= head;
  if (more && messages.length < limit && bytes < maxBytes) throw missing(store, channel, expected);
  return { ...store.lineage(channel), messages, head, trimmed };
}

function missing({ name }: Store, channel: string, offset: number): BackboneError {
  return new BackboneError(
    "invalid",
    `[${name}] the log is damaged: message ${offset} of ${channel} was stored and is not there. Restore the data folder ` +
      "from a backup and run `todoku restored`, or empty the channel with history_remove: its subscribers are then told of a gap",
  );
}

/** The next channels of a namespace after the one named `after`, in the order of their names. */
export function channelsOf(
  store: Store,
  namespace: string,
  after = namespace === "" ? "" : `${namespace}:`,
): ChannelPage {
  const channels: string[] = [];
  let seen = 0;
  for (const [key, { head, trimmed }] of store.channels.from(after)) {
    if (key === after) continue;
    // Names of the namespace "" lie between those of others.
    if (namespace !== "" && !key.startsWith(`${namespace}:`)) break;
    if (namespaceOf(key) === namespace && head > trimmed) channels.push(key);
    if (++seen === CHANNELS_PER_PAGE) return { channels, next: key };
  }
  return { channels };
}

export function removeMessages(store: Store, channel: string): void {
  const row = store.channels.open(channel);
  if (row.head === row.trimmed) return;
  const range = {
    start: [channel, row.trimmed + 1] as [string, number],
    end: [channel, row.head + 1] as [string, number],
  };
  for (const key of Array.from(store.messages.getKeys(range))) {
    store.messages.removeSync(key);
  }
  row.trimmed = row.head;
  row.bytes = 0;
  store.channels.put(channel, row);
}

export function claimCursor(store: Store, key: CursorKey, now: number): ClaimedCursor {
  const id = cursorId(key);
  const held = store.cursors.get(id);
  const claimed = { fence: nextFence(held?.fence ?? 0, now), ...(held?.cursor && { cursor: held.cursor }) };
  store.cursors.putSync(id, claimed);
  return claimed;
}

export function writeCursor(store: Store, { key, fence, cursor }: CursorWrite): CursorOutcome {
  const id = cursorId(key);
  const held = store.cursors.get(id);
  if (held && fence < held.fence) return "fenced";
  if (!movesBack(held?.cursor, cursor)) store.cursors.putSync(id, { fence, cursor });
  return "stored";
}

export function forgetCursor(store: Store, key: CursorKey): void {
  const id = cursorId(key);
  const held = store.cursors.get(id);
  if (held) store.cursors.putSync(id, { fence: held.fence });
}

function cursorId({ channel, user, name }: CursorKey): string {
  const id = JSON.stringify([channel, user, name]);
  return id.length < LONGEST_NAME ? id : createHash("sha256").update(id).digest("hex");
}

function toRow({ id, time, data, info, tags }: Message): MessageRow {
  if (tags) return [id, time, data, info, tags];
  return info ? [id, time, data, info] : [id, time, data];
}

function fromRow([id, time, data, info, tags]: MessageRow, offset: number): StoredMessage {
  return { id, time, data, offset, ...(info && { info }), ...(tags && { tags }) };
}
