/** What the page says about what it shows. */
import type { Delivery } from "../../backbones/contract.ts";
import type { ChannelPromise } from "../promise.ts";
import type { Counts, Entry, Presence, Tally } from "./tally.ts";

export const TITLES: Readonly<Record<Delivery, string>> = {
  "at-most-once": "At most once",
  "at-least-once": "At least once",
  "exactly-once": "Exactly once",
};

export const PLEDGES: Readonly<Record<Delivery, string>> = {
  "at-most-once": "May be lost, never repeated by us. Nothing is kept, so nothing is faster.",
  "at-least-once": "Kept until you have acknowledged it. Never lost, may come again.",
  "exactly-once": "Kept, stored once however often it is published, handled once by you.",
};

interface Counter {
  readonly count: keyof Counts;
  readonly label: string;
  readonly means: string;
}

const SENT: Counter = {
  count: "sent",
  label: "sent",
  means: "Accepted since this tab came, from any tab of this browser.",
};
const RECEIVED: Counter = {
  count: "received",
  label: "received",
  means: "Different messages your handler has handled.",
};
const LOST: Counter = { count: "lost", label: "lost", means: "Sent, not received, and never to come." };
const REPEATED: Counter = {
  count: "repeated",
  label: "repeated",
  means: "Handled again, after having been handled before.",
};
const GAPS: Counter = {
  count: "gaps",
  label: "gaps",
  means: "Times the SDK told of messages that cannot be delivered.",
};
const WAITING: Counter = { count: "waiting", label: "waiting", means: "Kept for this tab, not handled yet." };

export const COUNTERS: readonly Counter[] = [SENT, RECEIVED, LOST, REPEATED, GAPS, WAITING];

/** The sentence under the counters. */
export function verdict(delivery: Delivery, counts: Counts, state: Presence): string {
  const { received, lost, repeated, waiting, setAside } = counts;
  const away = state === "cut" || state === "left";
  if (delivery === "at-most-once") {
    if (lost > 0)
      return `${number(lost, "message")} came while nobody listened, and ${lost === 1 ? "is" : "are"} gone.`;
    return away ? "Whatever is published now, you will not get." : "Nothing lost so far. Go away for a moment and see.";
  }
  if (setAside > 0) return `${number(setAside, "message")} failed too often: not lost, but set aside as dead letters.`;
  if (waiting > 0) {
    return away
      ? `${number(waiting, "message")} ${waiting === 1 ? "is" : "are"} kept for you until you come back.`
      : `${number(waiting, "message")} on the way.`;
  }
  if (lost > 0) return `${number(lost, "message")} could not be delivered; the gap in the list says why.`;
  if (delivery === "at-least-once" && repeated > 0) {
    return `Nothing lost, ${repeated} came again: this promise allows that.`;
  }
  if (repeated > 0) return `${repeated} came again: that should not have happened. Please tell us how.`;
  if (away) return "What is published now will wait for you.";
  if (received === 0) return "Nothing has arrived yet.";
  return delivery === "exactly-once"
    ? `All ${received} handled, once each.`
    : `All ${received} handled. None lost, none repeated so far.`;
}

export interface Described {
  readonly offset: string;
  readonly text: string;
  readonly meta: string;
  /** Class of the entry. */
  readonly mark: string;
}

/** One entry of the tape, in words. Without a text there is nothing to show. */
export function describe(entry: Entry, tally: Tally, { maxAttempts, deadLetters }: ChannelPromise): Described {
  switch (entry.kind) {
    case "message": {
      const { offset, text, from, repeat, redelivered, waitedMs = 0 } = entry;
      const meta = [
        from,
        ...(waitedMs >= 1500 ? [`waited ${seconds(waitedMs)}`] : []),
        ...(repeat ? ["repeated"] : []),
        ...(redelivered ? ["redelivered"] : []),
      ];
      return {
        offset: offset === undefined ? "–" : String(offset),
        text,
        meta: meta.join(" · "),
        mark: repeat ? "message repeat" : "message",
      };
    }
    case "failed": {
      const { offset, text, attempts } = entry;
      const meta = `handler failed, attempt ${attempts} of ${maxAttempts}`;
      return { offset: offset === undefined ? "–" : String(offset), text, meta, mark: "failed" };
    }
    case "lost": {
      const lost = entry.ids.filter((id) => tally.isLost(id)).length;
      return { offset: "", text: lost === 0 ? "" : `${number(lost, "message")} lost here`, meta: "", mark: "lost" };
    }
    case "gap":
      return { offset: "", ...gapWords(entry, deadLetters), mark: "gap" };
    case "note":
      return { offset: "", text: entry.text, meta: "", mark: "note" };
  }
}

function gapWords(
  { from, to, reason }: Extract<Entry, { kind: "gap" }>,
  deadLetters: string | undefined,
): { readonly text: string; readonly meta: string } {
  const range = from === to ? `#${from}` : `#${from} to #${to}`;
  switch (reason) {
    case "failed":
      return { text: `gap: ${range} was given up`, meta: deadLetters === undefined ? "" : `kept on ${deadLetters}` };
    case "retention":
      return { text: `gap: ${range}`, meta: "the log no longer keeps them" };
    case "epoch":
      return { text: "gap: the log began anew", meta: "what was stored before may be gone" };
    case "dropped":
      return { text: `gap: ${number(to, "message")}`, meta: "this tab read too slowly" };
  }
}

export function number(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
