/**
 * Judges a run by its log of events. It knows nothing of gateways and backbones: only what was promised, what went in,
 * what came out, and what was broken in between. Each rule is a function that names what breaks it.
 */
import type { Event, Position, Seen } from "./events.ts";
import {
  historyOf,
  type ChannelHistory,
  type Fault,
  type Handling,
  type RunHistory,
  type SubscriberHistory,
} from "./run-history.ts";

export const RULES = {
  I1: "no loss: what was acknowledged is stored, and what is stored is handled or told as a gap",
  I2: "no phantom: what is stored or handled was published, with this content, and not refused",
  I3: "no duplicate: a key is stored at one offset; exactly-once: a message is handled once",
  I4: "order: messages are first handled in the order of their offsets, and one publisher's in the order it sent them",
  I5: "agreement: a position names one message, for everybody and for ever",
  I6: "no skip: each message's prev is what came before it",
  I7: "an epoch changes only after a fault, and every subscriber is told",
  I8: "a cursor never moves back",
  I9: "at-most-once: no duplicate, and loss only while something was broken",
} as const;
export type Rule = keyof typeof RULES;

export interface Violation {
  readonly rule: Rule;
  readonly channel: string;
  readonly subscriber?: string;
  readonly detail: string;
}

/** All violations of the rules, channel by channel. */
export function check(events: readonly Event[]): readonly Violation[] {
  const run = historyOf(events);
  return [...run.channels.values()].flatMap((history) => {
    const rules = history.delivery === "at-most-once" ? LOSSY_RULES : KEPT_RULES;
    return rules.flatMap((rule) => [...rule(history, run)]);
  });
}

/** How often each rule was broken, with the first cases: for the message of a failed test. */
export function report(violations: readonly Violation[]): string {
  const lines = Object.entries(RULES).flatMap(([rule, meaning]) => {
    const cases = violations.filter((violation) => violation.rule === rule);
    if (cases.length === 0) return [];
    const shown = cases.slice(0, 5).map(({ channel, subscriber, detail }) => {
      const who = subscriber === undefined ? channel : `${channel}, ${subscriber}`;
      return `    ${who}: ${detail}`;
    });
    return [`${rule} × ${cases.length} (${meaning})`, ...shown];
  });
  return lines.length === 0 ? "no violation" : lines.join("\n");
}

type Check = (history: ChannelHistory, run: RunHistory) => Iterable<Violation>;

const KEPT_RULES: readonly Check[] = [
  acknowledgedIsStored,
  storedIsHandled,
  noPhantom,
  oneOffsetPerKey,
  handledOnce,
  firstHandlingsRise,
  publishersKeepOrder,
  positionsAgree,
  noSkip,
  epochChangesAreTold,
  cursorsMoveForward,
];
const LOSSY_RULES: readonly Check[] = [noPhantom, atMostOnce, lossOnlyInFaults];

// ── I1 ───────────────────────────────────────────────────────────────────────

function* acknowledgedIsStored(history: ChannelHistory): Iterable<Violation> {
  const { channel, answers, stored } = history;
  const keys = new Map(stored.map(({ key, position }) => [named(position), key]));
  for (const { key, position } of answers) {
    const there = keys.get(named(position));
    if (there === undefined)
      yield { rule: "I1", channel, detail: `${key} was acknowledged at ${named(position)} and is not in the log` };
  }
}

function* storedIsHandled(history: ChannelHistory): Iterable<Violation> {
  const { channel, stored, subscribers } = history;
  for (const { name, from, handled, gaps } of subscribers.values()) {
    const seen = new Set(handled.map(({ position }) => named(position)));
    for (const { key, position } of stored) {
      const { epoch = "", offset = 0 } = position ?? {};
      if (epoch === from?.epoch && offset <= from.offset) continue;
      if (seen.has(named(position)) || gaps.some((gap) => gap.from <= offset && offset <= gap.to)) continue;
      yield { rule: "I1", channel, subscriber: name, detail: `${key} at ${named(position)} was never handled` };
    }
  }
}

// ── I2 ───────────────────────────────────────────────────────────────────────

function* noPhantom(history: ChannelHistory): Iterable<Violation> {
  const { channel, publishes, failed, answers } = history;
  const answered = new Set(answers.map(({ key }) => key));
  for (const { seen, subscriber } of sightings(history)) {
    const { key, data } = seen;
    const published = publishes.get(key);
    const where = { rule: "I2" as const, channel, ...(subscriber !== undefined && { subscriber }) };
    if (!published) yield { ...where, detail: `${key} was never published` };
    else if (published.data !== data) yield { ...where, detail: `${key} has other content than was published` };
    else if (failed.has(key) && !answered.has(key))
      yield { ...where, detail: `${key} exists, and its publisher was told that it was not stored` };
  }
}

// ── I3 ───────────────────────────────────────────────────────────────────────

function* oneOffsetPerKey(history: ChannelHistory): Iterable<Violation> {
  const { channel, answers } = history;
  const places = new Map<string, string>();
  const seen = sightings(history).map(({ seen: { key, position } }) => ({ key, position }));
  for (const { key, position } of [...answers, ...seen]) {
    const place = named(position);
    const known = places.get(key);
    if (known === undefined) places.set(key, place);
    else if (known !== place) {
      places.set(key, place);
      yield { rule: "I3", channel, detail: `${key} is at ${known} and at ${place}` };
    }
  }
}

function* handledOnce({ channel, delivery, subscribers }: ChannelHistory): Iterable<Violation> {
  if (delivery !== "exactly-once") return;
  for (const { name, handled } of subscribers.values()) yield* repeats("I3", channel, name, handled);
}

function* repeats(rule: Rule, channel: string, subscriber: string, handled: readonly Handling[]): Iterable<Violation> {
  const seen = new Set<string>();
  for (const { key } of handled) {
    if (seen.has(key)) yield { rule, channel, subscriber, detail: `${key} was handled again` };
    seen.add(key);
  }
}

// ── I4 ───────────────────────────────────────────────────────────────────────

function* firstHandlingsRise({ channel, subscribers }: ChannelHistory): Iterable<Violation> {
  for (const { name, handled } of subscribers.values()) {
    const seen = new Set<string>();
    let highest: Position | undefined;
    for (const { position } of handled) {
      if (!position || seen.has(named(position))) continue;
      seen.add(named(position));
      if (highest?.epoch === position.epoch && position.offset < highest.offset) {
        const detail = `${named(position)} was first handled after ${named(highest)}`;
        yield { rule: "I4", channel, subscriber: name, detail };
      } else {
        highest = position;
      }
    }
  }
}

/** A message that was sent after the answer to another came has a higher offset. */
function* publishersKeepOrder({ channel, publishes, answers }: ChannelHistory): Iterable<Violation> {
  const latest = new Map<string, { key: string; position: Position; at: number }>();
  const answered = new Map(answers.map((answer) => [answer.key, answer]));
  for (const { publisher, key, at } of publishes.values()) {
    const answer = answered.get(key);
    if (!answer?.position) continue;
    const { position } = answer;
    const before = latest.get(publisher);
    if (before && before.at < at && before.position.epoch === position.epoch) {
      if (position.offset <= before.position.offset)
        yield { rule: "I4", channel, detail: `${publisher} sent ${key} after ${before.key}, and it is before it` };
    }
    latest.set(publisher, { key, position, at: answer.at });
  }
}

// ── I5, I6, I7, I8 ───────────────────────────────────────────────────────────

function* positionsAgree(history: ChannelHistory): Iterable<Violation> {
  const { channel, answers } = history;
  const names = new Map<string, string>();
  const seen = sightings(history).map(({ seen: { key, position } }) => ({ key, position }));
  for (const { key, position } of [...answers, ...seen]) {
    const place = named(position);
    const known = names.get(place);
    if (known !== undefined && known !== key)
      yield { rule: "I5", channel, detail: `${place} is ${known} to one and ${key} to another` };
    names.set(place, known ?? key);
  }
}

function* noSkip({ channel, subscribers }: ChannelHistory): Iterable<Violation> {
  for (const { name, from, handled, gaps } of subscribers.values()) {
    let reached = from;
    for (const { position, prev, at } of handled) {
      if (!position || prev === undefined) continue;
      const told = gaps.findLast((gap) => gap.at < at)?.to ?? 0;
      const before = Math.max(told, reached?.epoch === position.epoch ? reached.offset : 0);
      if (prev > before) {
        const detail = `${named(position)} follows ${prev}, and the subscriber had come to ${before}`;
        yield { rule: "I6", channel, subscriber: name, detail };
      }
      if (position.epoch !== reached?.epoch || position.offset > reached.offset) reached = position;
    }
  }
}

function* epochChangesAreTold(history: ChannelHistory, { faults }: RunHistory): Iterable<Violation> {
  const { channel, subscribers } = history;
  const epochs = new Set(sightings(history).map(({ seen }) => seen.position?.epoch));
  if (epochs.size > 1 && faults.length === 0)
    yield { rule: "I7", channel, detail: `the epoch changed with nothing broken: ${[...epochs].join(", ")}` };
  for (const { name, from, handled, gaps } of subscribers.values()) {
    let last = from?.epoch;
    let lastAt = 0;
    for (const { position, at } of handled) {
      const told = gaps.some((gap) => gap.reason === "epoch" && gap.at > lastAt && gap.at < at);
      if (last !== undefined && position?.epoch !== last && !told) {
        const detail = `the epoch went from ${last} to ${position?.epoch} without a gap`;
        yield { rule: "I7", channel, subscriber: name, detail };
      }
      last = position?.epoch;
      lastAt = at;
    }
  }
}

function* cursorsMoveForward({ channel, cursors }: ChannelHistory): Iterable<Violation> {
  for (const [subscriber, positions] of cursors) {
    for (const [i, cursor] of positions.entries()) {
      const before = positions[i - 1];
      if (before?.epoch === cursor.epoch && cursor.offset < before.offset) {
        const detail = `the cursor went from ${named(before)} to ${named(cursor)}`;
        yield { rule: "I8", channel, subscriber, detail };
      }
    }
  }
}

// ── I9 ───────────────────────────────────────────────────────────────────────

function* atMostOnce({ channel, subscribers }: ChannelHistory): Iterable<Violation> {
  for (const { name, handled } of subscribers.values()) yield* repeats("I9", channel, name, handled);
}

function* lossOnlyInFaults(history: ChannelHistory, { faults }: RunHistory): Iterable<Violation> {
  const { channel, answers, subscribers } = history;
  for (const subscriber of subscribers.values()) {
    const seen = new Set(subscriber.handled.map(({ key }) => key));
    for (const { key } of answers) {
      if (seen.has(key)) continue;
      const [begin, end] = lifeOf(key, history, subscriber);
      if (begin < subscriber.at || faults.some((fault) => overlaps(fault, begin, end))) continue;
      const detail = `${key} was lost while nothing was broken`;
      yield { rule: "I9", channel, subscriber: subscriber.name, detail };
    }
  }
}

/** From its sending until a later message of its publisher had come: what is in order cannot come after that. */
function lifeOf(key: string, { publishes }: ChannelHistory, { handled }: SubscriberHistory): [number, number] {
  const published = publishes.get(key);
  if (!published) return [0, Number.POSITIVE_INFINITY];
  const later = handled.find((handling) => {
    const other = publishes.get(handling.key);
    return other?.publisher === published.publisher && other.at > published.at;
  });
  return [published.at, later?.at ?? Number.POSITIVE_INFINITY];
}

function overlaps({ from, to }: Fault, begin: number, end: number): boolean {
  return from <= end && begin <= to;
}

// ── what was seen ────────────────────────────────────────────────────────────

interface Sighting {
  readonly seen: Seen;
  /** Absent: it was seen in the log itself. */
  readonly subscriber?: string;
}

/** Every message that was seen, in the log or by a handler. */
function sightings({ stored, subscribers }: ChannelHistory): Sighting[] {
  return [
    ...stored.map((seen) => ({ seen })),
    ...[...subscribers.values()].flatMap(({ name, handled }) => handled.map((seen) => ({ seen, subscriber: name }))),
  ];
}

function named(position: Position | undefined): string {
  return position ? `${position.epoch}/${position.offset}` : "nowhere";
}
