/** Where a time lies in a channel's log. */
import type { Log } from "../backbones/contract.ts";

/**
 * The offset after which the messages begin that were accepted at `time` (ms since 1970) or later. Found by halving: a read per
 * halving, of one message. Clocks of gateways differ, so that a few messages around the place may be out of the order of time.
 */
export async function offsetBefore(log: Log, channel: string, time: number): Promise<number> {
  const { trimmed, head } = await log.read(channel, { after: 0, limit: 1 });
  let [low, high] = [trimmed, head];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { messages } = await log.read(channel, { after: middle, limit: 1 });
    const [next] = messages;
    if (!next || next.time >= time) high = middle;
    else low = next.offset;
  }
  return low;
}
