/** What the log is at the end of a run, and what the positions of older epochs mean in it. */
import { inEpoch, type Epoch } from "@todoku/protocol";
import type { Log } from "../../server/src/backbones/contract.ts";
import type { Event, EventLog, Position } from "../events.ts";
import type { Payload } from "../kill/payload.ts";

/** Reads a channel's whole log, past all gateways, into the events; returns its epoch. */
export async function noteStored(log: Log, channel: string, events: EventLog): Promise<Epoch> {
  for (let after = 0; ;) {
    const range = await log.read(channel, { after, limit: 500 });
    for (const { data, offset } of range.messages) {
      const { key, text } = JSON.parse(data) as Payload;
      events.append({ kind: "stored", channel, key, data: text, position: { epoch: range.epoch, offset } });
      after = offset;
    }
    if (after >= range.head) return range;
  }
}

/**
 * The events with every position that still means something told in the present epoch. A position that lies beyond where
 * the histories part stays as it is: what was there is lost.
 */
export function inPresentEpochs(events: readonly Event[], epochs: ReadonlyMap<string, Epoch>): readonly Event[] {
  const rename = (channel: string, position: Position): Position => {
    const present = epochs.get(channel);
    return (present && inEpoch(position, present)) ?? position;
  };
  return events.map((event): Event => {
    if (event.kind === "subscribed" && event.from) return { ...event, from: rename(event.channel, event.from) };
    if ("position" in event && event.position) return { ...event, position: rename(event.channel, event.position) };
    return event;
  });
}
