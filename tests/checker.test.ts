/** The checker against logs made by hand: a good one that passes, and for each rule bad ones that must not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { check, report, RULES, type Rule } from "./checker.ts";
import type { Event, Position } from "./events.ts";
import type { Delivery } from "../server/src/backbones/contract.ts";

const CHANNEL = "room";

function at(offset: number, epoch = "e"): Position {
  return { epoch, offset };
}

function promise(delivery: Delivery): Event {
  return { kind: "promise", channel: CHANNEL, delivery };
}

function publish(key: string, data = key, publisher = "p"): Event {
  return { kind: "publish", publisher, channel: CHANNEL, key, data };
}

function ok(key: string, position?: Position): Event {
  return { kind: "ok", channel: CHANNEL, key, duplicate: false, ...(position && { position }) };
}

function subscribed(from?: Position, subscriber = "s"): Event {
  return { kind: "subscribed", subscriber, channel: CHANNEL, ...(from && { from }) };
}

function handled(
  key: string,
  position?: Position,
  more: { prev?: number; data?: string; subscriber?: string } = {},
): Event {
  const { subscriber = "s", data = key, prev = position && position.offset - 1 } = more;
  return {
    kind: "handled",
    subscriber,
    channel: CHANNEL,
    key,
    data,
    ...(position && { position }),
    ...(prev !== undefined && { prev }),
  };
}

function stored(key: string, position: Position): Event {
  return { kind: "stored", channel: CHANNEL, key, data: key, position, prev: position.offset - 1 };
}

function gap(from: number, to: number, reason = "retention"): Event {
  return { kind: "gap", subscriber: "s", channel: CHANNEL, from, to, reason };
}

function cursor(position: Position): Event {
  return { kind: "cursor", subscriber: "s", channel: CHANNEL, position };
}

/** Two messages, published and stored. */
const SENT: readonly Event[] = [publish("a"), ok("a", at(1)), publish("b"), ok("b", at(2))];
const STORED: readonly Event[] = [stored("a", at(1)), stored("b", at(2))];

function broken(events: readonly Event[]): Rule[] {
  return [...new Set(check(events).map(({ rule }) => rule))].toSorted();
}

describe("a good run", () => {
  for (const delivery of ["at-least-once", "exactly-once"] as const) {
    test(`${delivery}: everything stored, and handled in order`, () => {
      const events = [
        promise(delivery),
        subscribed(at(0)),
        ...SENT,
        handled("a", at(1)),
        handled("b", at(2)),
        cursor(at(1)),
        cursor(at(2)),
        ...STORED,
      ];
      assert.deepEqual(check(events), []);
    });
  }

  test("at-least-once: the same message may come again, at its own offset", () => {
    const events = [
      promise("at-least-once"),
      subscribed(at(0)),
      ...SENT,
      handled("a", at(1)),
      handled("b", at(2)),
      handled("a", at(1)),
      handled("b", at(2)),
      ...STORED,
    ];
    assert.deepEqual(check(events), []);
  });

  test("a subscriber is owed nothing from before its start", () => {
    const events = [promise("at-least-once"), ...SENT, subscribed(at(1)), handled("b", at(2)), ...STORED];
    assert.deepEqual(check(events), []);
  });

  test("a publish of unknown outcome may have happened, or not", () => {
    const events: Event[] = [
      promise("exactly-once"),
      subscribed(at(0)),
      publish("a"),
      { kind: "unknown", channel: CHANNEL, key: "a" },
      publish("b"),
      { kind: "unknown", channel: CHANNEL, key: "b" },
      handled("b", at(1)),
      stored("b", at(1)),
    ];
    assert.deepEqual(check(events), []);
  });

  test("what a gap tells of is not lost", () => {
    const events = [promise("at-least-once"), subscribed(at(0)), ...SENT, gap(1, 1), handled("b", at(2)), ...STORED];
    assert.deepEqual(check(events), []);
  });

  test("at-most-once: loss while something was broken", () => {
    const events: Event[] = [
      promise("at-most-once"),
      subscribed(),
      publish("a"),
      { kind: "fault", name: "server" },
      ok("a"),
      { kind: "healed", name: "server" },
      publish("b"),
      ok("b"),
      handled("b"),
    ];
    assert.deepEqual(check(events), []);
  });
});

/** Runs that each break the named rule and no other. */
const BAD: Readonly<Record<string, readonly [Rule, readonly Event[]]>> = {
  "acknowledged, and not in the log": [
    "I1",
    [
      promise("at-least-once"),
      subscribed(at(0)),
      ...SENT,
      handled("a", at(1)),
      handled("b", at(2)),
      stored("a", at(1)),
    ],
  ],
  "the last message never comes": [
    "I1",
    [promise("at-least-once"), subscribed(at(0)), ...SENT, handled("a", at(1)), ...STORED],
  ],
  "handled, and never published": [
    "I2",
    [promise("at-least-once"), subscribed(at(0)), handled("x", at(1)), stored("x", at(1))],
  ],
  "handled with other content": [
    "I2",
    [promise("at-least-once"), subscribed(at(0)), publish("a"), handled("a", at(1), { data: "b" })],
  ],
  "handled, and its publisher was told that it failed": [
    "I2",
    [
      promise("at-least-once"),
      subscribed(at(0)),
      publish("a"),
      { kind: "failed", channel: CHANNEL, key: "a" },
      handled("a", at(1)),
      stored("a", at(1)),
    ],
  ],
  "a retry was stored again": [
    "I3",
    [
      promise("at-least-once"),
      subscribed(at(0)),
      publish("a"),
      ok("a", at(2)),
      handled("a", at(1)),
      handled("a", at(2)),
      stored("a", at(1)),
      stored("a", at(2)),
    ],
  ],
  "exactly-once: handled again at the same offset": [
    "I3",
    [
      promise("exactly-once"),
      subscribed(at(0)),
      ...SENT,
      handled("a", at(1)),
      handled("b", at(2)),
      handled("b", at(2)),
      ...STORED,
    ],
  ],
  "handled in another order": [
    "I4",
    [
      promise("at-least-once"),
      subscribed(at(0)),
      ...SENT,
      handled("b", at(2), { prev: 0 }),
      handled("a", at(1)),
      ...STORED,
    ],
  ],
  "stored against the publisher's order": [
    "I4",
    [
      promise("at-least-once"),
      publish("a"),
      ok("a", at(2)),
      publish("b"),
      ok("b", at(1)),
      stored("b", at(1)),
      stored("a", at(2)),
    ],
  ],
  "a position is one message to one subscriber, another to another": [
    "I5",
    [
      promise("at-least-once"),
      publish("a"),
      publish("b", "b", "q"),
      subscribed(at(0)),
      subscribed(at(0), "t"),
      handled("a", at(1)),
      handled("b", at(1), { subscriber: "t" }),
    ],
  ],
  "prev names a message that did not come": [
    "I6",
    [
      promise("at-least-once"),
      subscribed(at(0)),
      publish("b"),
      ok("b", at(2)),
      handled("b", at(2), { prev: 1 }),
      stored("b", at(2)),
    ],
  ],
  "another epoch, and nobody was told": [
    "I7",
    [
      promise("at-least-once"),
      subscribed(at(0)),
      { kind: "fault", name: "failover" },
      publish("a"),
      ok("a", at(1, "f")),
      handled("a", at(1, "f")),
      stored("a", at(1, "f")),
    ],
  ],
  "another epoch with nothing broken": [
    "I7",
    [
      promise("at-least-once"),
      publish("a"),
      ok("a", at(1)),
      publish("b"),
      ok("b", at(1, "f")),
      stored("a", at(1)),
      stored("b", at(1, "f")),
    ],
  ],
  "a cursor moves back": ["I8", [promise("at-least-once"), subscribed(at(0)), cursor(at(2)), cursor(at(1))]],
  "at-most-once: twice": [
    "I9",
    [promise("at-most-once"), subscribed(), publish("a"), ok("a"), handled("a"), handled("a")],
  ],
  "at-most-once: lost with nothing broken": [
    "I9",
    [
      promise("at-most-once"),
      subscribed(),
      publish("a"),
      ok("a"),
      publish("b"),
      ok("b"),
      handled("b"),
      { kind: "fault", name: "later" },
      { kind: "healed", name: "later" },
    ],
  ],
};

describe("a bad run", () => {
  for (const [story, [rule, events]] of Object.entries(BAD)) {
    test(`${rule}: ${story}`, () => assert.deepEqual(broken(events), [rule], report(check(events))));
  }

  test("every rule has a bad run that breaks it", () => {
    const shown = new Set(Object.values(BAD).map(([rule]) => rule));
    assert.deepEqual([...shown].toSorted(), Object.keys(RULES).toSorted());
  });

  test("the report counts, and shows cases", () => {
    const [, events] = BAD["a cursor moves back"] ?? [];
    assert.match(report(check(events ?? [])), /I8 × 1 .*\n.*room, s: the cursor went from e\/2 to e\/1/);
  });
});
