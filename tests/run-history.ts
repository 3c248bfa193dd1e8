/** The events of a run, put in order by channel, publisher and subscriber: what the checker's rules look at. */
import type { Delivery } from "../server/src/backbones/contract.ts";
import type { Event, Position, Seen } from "./events.ts";

/** `at` is the place in the log of events: a smaller one was earlier. */
export interface Publish {
  readonly at: number;
  readonly publisher: string;
  readonly key: string;
  readonly data: string;
}

export interface Answer {
  readonly at: number;
  readonly key: string;
  readonly position?: Position;
}

export interface Handling extends Seen {
  readonly at: number;
}

export interface ToldGap {
  readonly at: number;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export interface SubscriberHistory {
  readonly name: string;
  readonly at: number;
  readonly from: Position | undefined;
  readonly handled: Handling[];
  readonly gaps: ToldGap[];
}

export interface ChannelHistory {
  readonly channel: string;
  delivery: Delivery;
  readonly publishes: Map<string, Publish>;
  readonly answers: Answer[];
  /** Keys whose publisher was told that nothing was stored. */
  readonly failed: Set<string>;
  readonly stored: Seen[];
  readonly subscribers: Map<string, SubscriberHistory>;
  /** By durable subscriber; one may be stored before its subscriber was told so. */
  readonly cursors: Map<string, Position[]>;
}

/** A stretch of the log of events in which something was broken. */
export interface Fault {
  readonly name: string;
  readonly from: number;
  to: number;
}

export interface RunHistory {
  readonly channels: ReadonlyMap<string, ChannelHistory>;
  readonly faults: readonly Fault[];
}

/** @throws Error for events that make no sense: an answer to what was never published, a handling without a subscription. */
export function historyOf(events: readonly Event[]): RunHistory {
  const channels = new Map<string, ChannelHistory>();
  const faults: Fault[] = [];
  events.forEach((event, at) => {
    if (event.kind === "fault") {
      faults.push({ name: event.name, from: at, to: events.length });
    } else if (event.kind === "healed") {
      const fault = faults.findLast(({ name, to }) => name === event.name && to === events.length);
      if (!fault) throw new Error(`${event.name} healed, and was never broken`);
      fault.to = at;
    } else {
      note(channelOf(channels, event.channel), event, at);
    }
  });
  return { channels, faults };
}

function channelOf(channels: Map<string, ChannelHistory>, channel: string): ChannelHistory {
  let found = channels.get(channel);
  if (!found) {
    found = {
      channel,
      delivery: "at-most-once",
      publishes: new Map(),
      answers: [],
      failed: new Set(),
      stored: [],
      subscribers: new Map(),
      cursors: new Map(),
    };
    channels.set(channel, found);
  }
  return found;
}

function note(history: ChannelHistory, event: Exclude<Event, { name: string }>, at: number): void {
  switch (event.kind) {
    case "promise":
      history.delivery = event.delivery;
      break;
    case "publish":
      if (history.publishes.has(event.key)) throw new Error(`the key ${event.key} was given to two messages`);
      history.publishes.set(event.key, { at, ...event });
      break;
    case "ok":
      history.answers.push({ at, key: event.key, ...(event.position && { position: event.position }) });
      break;
    case "failed":
      history.failed.add(event.key);
      break;
    case "unknown":
      break;
    case "subscribed": {
      const { subscriber, from } = event;
      if (!history.subscribers.has(subscriber))
        history.subscribers.set(subscriber, { name: subscriber, at, from, handled: [], gaps: [] });
      break;
    }
    case "handled":
      subscriberOf(history, event.subscriber).handled.push({ at, ...event });
      break;
    case "gap":
      subscriberOf(history, event.subscriber).gaps.push({ at, ...event });
      break;
    case "cursor": {
      const { subscriber, position } = event;
      const positions = history.cursors.get(subscriber);
      if (positions) positions.push(position);
      else history.cursors.set(subscriber, [position]);
      break;
    }
    case "stored":
      history.stored.push(event);
      break;
  }
}

function subscriberOf(history: ChannelHistory, name: string): SubscriberHistory {
  const found = history.subscribers.get(name);
  if (!found) throw new Error(`${name} is not subscribed to ${history.channel}`);
  return found;
}
