/** What is removed when: by count and bytes with each append, by age in a sweep that never scans everything. */
import type { ChannelRow } from "./channel-rows.ts";
import type { MessageRow, Store } from "./store.ts";

/** Removed at most with one append: when a limit was lowered, what is beyond it goes little by little. */
const TRIM_MESSAGES = 100;

/** Removes what is beyond the count and the bytes of the channel's retention. Changes `row`, stores nothing of it. */
export function trim(store: Store, channel: string, row: ChannelRow): void {
  const { messages = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = row.retention;
  for (let removed = 0; removed < TRIM_MESSAGES; removed++) {
    const count = row.head - row.trimmed;
    // The newest message stays whatever its size.
    if (count <= 1 || (count <= messages && row.bytes <= bytes)) return;
    if (!removeOldest(store, channel, row)) return;
  }
}

/** Notes when the channel's oldest message reaches its age, unless that is noted already. Changes `row`. */
export function schedule(store: Store, channel: string, row: ChannelRow, oldestTime: number): void {
  const { ageMs } = row.retention;
  if (ageMs === undefined || row.due !== 0) return;
  row.due = oldestTime + ageMs;
  store.dues.putSync([row.due, channel], true);
}

/** Whether a sweep would find something; only reads. */
export function isAnythingDue(store: Store, now: number): boolean {
  if (store.keys.isAnyOver(now)) return true;
  for (const _ of store.dues.getKeys({ end: [now, ""], limit: 1 })) return true;
  return false;
}

/** Removes messages that are too old and keys whose window is over, at most `most` of each. Returns whether some are left. */
export function sweep(store: Store, now: number, most: number): boolean {
  const forgotten = store.keys.sweep(now, most);
  const due = Array.from(store.dues.getKeys({ end: [now, ""], limit: most }));
  let left = most;
  for (const key of due) {
    if (left <= 0) break;
    left -= sweepChannel(store, key, now, left);
  }
  return forgotten === most || left <= 0;
}

function sweepChannel(store: Store, due: [number, string], now: number, most: number): number {
  const [, channel] = due;
  store.dues.removeSync(due);
  const row = store.channels.open(channel);
  const { ageMs = Number.POSITIVE_INFINITY } = row.retention;
  let removed = 0;
  row.due = 0;
  for (;;) {
    const oldest = oldestOf(store, channel, row);
    if (!oldest) break;
    if (now - oldest.value[1] <= ageMs || removed >= most) {
      schedule(store, channel, row, oldest.value[1]);
      break;
    }
    removeOldest(store, channel, row);
    removed++;
  }
  store.channels.put(channel, row);
  return Math.max(1, removed);
}

function removeOldest(store: Store, channel: string, row: ChannelRow): boolean {
  const oldest = oldestOf(store, channel, row);
  if (!oldest) return false;
  store.messages.removeSync(oldest.key);
  row.trimmed = oldest.key[1];
  row.bytes -= Buffer.byteLength(oldest.value[2]);
  return true;
}

function oldestOf(
  store: Store,
  channel: string,
  { trimmed }: ChannelRow,
): { key: [string, number]; value: MessageRow } | undefined {
  // Offsets are contiguous, so the oldest message follows what was trimmed.
  const key: [string, number] = [channel, trimmed + 1];
  const value = store.messages.get(key);
  return value && { key, value };
}
