/** The suite's rules can fail: each is tried on a backbone that breaks just what it demands, and on one that does not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../manual-clock.ts";
import { RULE_TITLES, tryRule } from "./conformance.ts";
import type { Backbone, Bus, Cursor, Cursors, Frame, Log, Range } from "./contract.ts";
import { MEMORY_CAPABILITIES, MemoryBackbone, MemoryStore } from "./memory.ts";

/** What is broken in one way. */
interface Break {
  readonly bus?: (bus: Bus, other: Bus) => Partial<Bus>;
  readonly log?: (log: Log) => Partial<Log>;
  readonly cursors?: (cursors: Cursors) => Partial<Cursors>;
}

async function pair({ bus, log, cursors }: Break = {}): Promise<[Backbone, Backbone]> {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const instances = [new MemoryBackbone({}, clock, store), new MemoryBackbone({}, clock, store)] as const;
  const broken = instances.map((whole, i) => {
    const twin = instances[1 - i] ?? whole;
    return {
      type: "broken",
      capabilities: MEMORY_CAPABILITIES,
      bus: { ...whole.bus, ...bus?.(whole.bus, twin.bus) },
      log: { ...whole.log, readMany: together(whole.log), ...log?.(whole.log) },
      cursors: { ...whole.cursors, ...cursors?.(whole.cursors) },
      open: () => whole.open(),
      close: () => whole.close(),
      check: () => whole.check(),
    };
  });
  for (const instance of instances) await instance.open();
  return broken as [Backbone, Backbone];
}

/** One by one, but within one limit. */
const together =
  (log: Log): NonNullable<Log["readMany"]> =>
  async (reads, { limit }) => {
    let left = limit;
    const ranges: Range[] = [];
    for (const { channel, after } of reads) {
      const range = await log.read(channel, { after, limit });
      const messages = range.messages.slice(0, left);
      left -= messages.length;
      ranges.push({ ...range, messages });
    }
    return ranges;
  };

const altered = (frame: Frame): Frame =>
  frame.kind === "message" ? { ...frame, message: { ...frame.message, tags: {} } } : frame;

/** Enough for what happens in one process. */
const PATIENCE_MS = 500;

let calls = 0;

const BREAKS: readonly (readonly [what: string, rule: string, how: Break])[] = [
  [
    "a bus that is deaf to other instances",
    "a frame reaches the listeners on every instance",
    { bus: (bus, other) => ({ subscribe: other === bus ? bus.subscribe : async () => async () => {} }) },
  ],
  [
    "a bus that alters frames",
    "a frame arrives unaltered",
    { bus: (bus) => ({ publish: (channel, frame) => bus.publish(channel, altered(frame)) }) },
  ],
  [
    "a bus that leaks into channels whose names begin alike",
    "a listener hears its own channel only",
    {
      bus: (bus) => ({
        publish: async (channel, frame) => {
          await bus.publish(channel, frame);
          await bus.publish(`${channel}.x`, frame);
        },
      }),
    },
  ],
  [
    "a bus whose first listener is its only one",
    "each of several listeners gets every frame",
    {
      bus: (bus) => ({
        subscribe: (channel, listener) =>
          calls++ % 2 === 0 ? bus.subscribe(channel, listener) : Promise.resolve(async () => {}),
      }),
    },
  ],
  [
    "a bus that goes on after it was stopped",
    "each of several listeners gets every frame",
    {
      bus: (bus) => ({
        subscribe: async (channel, listener) => {
          await bus.subscribe(channel, listener);
          return async () => {};
        },
      }),
    },
  ],
  [
    "a bus that hands frames out again",
    "a bus that says so hands each frame to a listener once",
    {
      bus: (bus) => ({
        publish: async (channel, frame) => {
          await bus.publish(channel, frame);
          await bus.publish(channel, frame);
        },
      }),
    },
  ],
  [
    "a bus that turns frames around",
    "frames of one channel arrive in the order",
    {
      bus: (bus) => {
        let held: Frame | undefined;
        return {
          publish: async (channel, frame) => {
            if (held) {
              await bus.publish(channel, frame);
              await bus.publish(channel, held);
              held = undefined;
            } else held = frame;
          },
        };
      },
    },
  ],
  [
    "a bus that takes some characters for its own",
    "every allowed channel name works",
    {
      bus: (bus) => ({
        publish: async (channel, frame) => {
          if (!/[#+*]/.test(channel)) await bus.publish(channel, frame);
        },
      }),
    },
  ],
  [
    "a log that makes an epoch with the first message",
    "a channel that was never written has an epoch, which stays",
    {
      log: (log) => ({
        heads: async (channels) =>
          (await log.heads(channels)).map((head) => (head.offset === 0 ? { ...head, epoch: "none" } : head)),
      }),
    },
  ],
  [
    "a log that loses a message",
    "offsets rise in the order of awaited appends",
    {
      log: (log) => ({
        read: async (channel, options) => {
          const range = await log.read(channel, options);
          return { ...range, messages: range.messages.filter(({ offset }) => offset !== 3) };
        },
      }),
    },
  ],
  [
    "a log that reads in another order than it stored",
    "appends that are not awaited are stored once each, in the order in which they were made",
    {
      log: (log) => ({
        append: async (...given) => {
          if (calls++ % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
          return log.append(...given);
        },
      }),
    },
  ],
  [
    "a log that stores twice what it is told once",
    "appends that are not awaited are stored once each",
    {
      log: (log) => ({
        append: async (...given) => {
          await log.append(...given);
          return log.append(...given);
        },
      }),
    },
  ],
  [
    "a log that shows an instance its own messages only",
    "appends through two instances make one order",
    {
      log: (log) => {
        const own = new Set<number>();
        return {
          append: async (...given) => {
            const appended = await log.append(...given);
            own.add(appended.offset);
            return appended;
          },
          read: async (channel, options) => {
            const range = await log.read(channel, options);
            return { ...range, messages: range.messages.filter(({ offset }) => own.has(offset)) };
          },
        };
      },
    },
  ],
  [
    "a log that forgets the tags",
    "a message comes back unaltered",
    {
      log: (log) => ({ append: (channel, message, options) => log.append(channel, { ...message, tags: {} }, options) }),
    },
  ],
  [
    "a log that cuts large messages",
    "a message of 64 KiB is stored whole",
    {
      log: (log) => ({
        append: (channel, message, options) =>
          log.append(channel, { ...message, data: message.data.slice(0, 10_000) }, options),
      }),
    },
  ],
  [
    "a log that reads from a position instead of after it",
    "reading starts after a position",
    {
      log: (log) => ({
        read: (channel, { after, ...options }) =>
          log.read(channel, { ...options, ...(after !== undefined && { after: after - 1 }) }),
      }),
    },
  ],
  [
    "a log that takes the bytes for a hard limit",
    "gives at least one message",
    {
      log: (log) => ({
        read: async (channel, options) => {
          const range = await log.read(channel, options);
          return options.maxBytes === 1 ? { ...range, messages: [] } : range;
        },
      }),
    },
  ],
  [
    "a log that cannot go backward",
    "reading in reverse gives the newest first",
    { log: (log) => ({ read: (channel, options) => log.read(channel, { ...options, reverse: false }) }) },
  ],
  [
    "a log that leaves a channel out of its pages",
    "channels names all of a namespace that keep messages",
    {
      log: (log) => ({
        channels: async (...given) => ({ channels: (await log.channels(...given)).channels.slice(1) }),
      }),
    },
  ],
  [
    "heads in another order than asked for",
    "heads answers for several channels, in the order asked for",
    {
      log: (log) => ({
        heads: async (channels) => (await log.heads(channels)).toSorted((a, b) => a.offset - b.offset),
      }),
    },
  ],
  [
    "a log that takes no notice of case",
    "channels do not mix",
    {
      log: (log) => ({
        append: (channel, ...given) => log.append(channel.replace(/[0/]+$/, ""), ...given),
        read: (channel, options) => log.read(channel.replace(/[0/]+$/, ""), options),
      }),
    },
  ],
  [
    "retention that keeps fewer than asked",
    "retention by count",
    { log: (log) => ({ append: (channel, message) => log.append(channel, message, { retention: { messages: 9 } }) }) },
  ],
  [
    "retention that does not say what is gone",
    "retention by count",
    { log: (log) => ({ read: async (channel, options) => ({ ...(await log.read(channel, options)), trimmed: 0 }) }) },
  ],
  [
    "retention by bytes that keeps the newest only",
    "retention by bytes",
    { log: (log) => ({ append: (channel, message) => log.append(channel, message, { retention: { messages: 1 } }) }) },
  ],
  [
    "a removal that begins the offsets anew",
    "remove forgets the messages, keeps epoch and head",
    { log: (log) => ({ read: async (channel, options) => ({ ...(await log.read(channel, options)), head: 0 }) }) },
  ],
  ["a removal that is none", "remove forgets the messages", { log: () => ({ remove: async () => {} }) }],
  [
    "a log that forgets its keys",
    "a repeated key stores nothing",
    { log: (log) => ({ append: (channel, message, { retention }) => log.append(channel, message, { retention }) }) },
  ],
  [
    "a log that knows a key and stores anyway",
    "a repeated key stores nothing",
    {
      log: (log) => ({
        append: async (channel, message, options) => {
          const appended = await log.append(channel, message, options);
          if (appended.duplicate) await log.append(channel, message, { retention: options.retention });
          return appended;
        },
      }),
    },
  ],
  [
    "keys that all channels share",
    "a key belongs to its channel",
    {
      log: (log) => {
        const known = new Map<string, Awaited<ReturnType<Log["append"]>>>();
        return {
          append: async (channel, message, options) => {
            const found = known.get(options.dedupe?.key ?? "");
            if (found) return { ...found, duplicate: true };
            const appended = await log.append(channel, message, options);
            known.set(options.dedupe?.key ?? "", appended);
            return appended;
          },
        };
      },
    },
  ],
  [
    "an announcement with a wrong prev",
    "a backbone that announces its appends",
    {
      bus: (bus) => ({
        subscribe: (channel, listener) =>
          bus.subscribe(channel, (frame) => listener(frame.kind === "message" ? { ...frame, prev: 99 } : frame)),
      }),
    },
  ],
  [
    "fences that do not rise",
    "its fence rises with every claim",
    { cursors: (cursors) => ({ claim: async (key) => ({ ...(await cursors.claim(key)), fence: 1 }) }) },
  ],
  [
    "cursors that are not kept",
    "a written cursor is what the next claim finds",
    { cursors: () => ({ write: async (writes) => writes.map(() => "stored" as const) }) },
  ],
  [
    "a cursor that moves back",
    "a cursor never moves back within an epoch",
    {
      cursors: (cursors) => {
        let last: Cursor | undefined;
        return {
          write: async (writes) => {
            last = writes.at(-1)?.cursor;
            return cursors.write(writes);
          },
          claim: async (key) => ({ ...(await cursors.claim(key)), ...(last && { cursor: last }) }),
        };
      },
    },
  ],
  [
    "a cursor that holds on to an old epoch",
    "a cursor of another epoch replaces the old one",
    {
      cursors: (cursors) => ({
        write: (writes) => cursors.write(writes.filter(({ cursor }) => cursor.position.epoch !== "new")),
      }),
    },
  ],
  [
    "a write that is not fenced",
    "after a claim, writes with an older fence are fenced",
    {
      cursors: (cursors) => ({
        write: async (writes) => {
          const fenced = await Promise.all(
            writes.map(async (write) => ({ ...write, fence: (await cursors.claim(write.key)).fence })),
          );
          return cursors.write(fenced);
        },
      }),
    },
  ],
  [
    "cursors that take a claim they have lost for a take-over",
    "a write with a newer fence than the store knows is stored",
    {
      cursors: (cursors) => {
        let known = 0;
        return {
          claim: async (key) => {
            const claimed = await cursors.claim(key);
            known = claimed.fence;
            return claimed;
          },
          write: async (writes) =>
            writes.some(({ fence }) => fence > known) ? writes.map(() => "fenced" as const) : cursors.write(writes),
        };
      },
    },
  ],
  [
    "outcomes that come in another order",
    "several cursors are written together, with outcomes in the order of the writes",
    { cursors: (cursors) => ({ write: async (writes) => (await cursors.write(writes)).toSorted() }) },
  ],
  [
    "a log that is read together with holes",
    "reading channels together",
    {
      log: (log) => ({
        readMany: async (reads, options) =>
          (await together(log)(reads, options)).map((range) => ({
            ...range,
            messages: range.messages.filter((_, i) => i !== 1),
          })),
      }),
    },
  ],
  [
    "cursors whose names run together",
    "cursors of other users, names and channels are others",
    {
      cursors: (cursors) => {
        const merged = <K extends { user: string; name: string }>(key: K): K => ({
          ...key,
          user: key.user + key.name,
          name: "",
        });
        return {
          claim: (key) => cursors.claim(merged(key)),
          write: (writes) => cursors.write(writes.map((write) => ({ ...write, key: merged(write.key) }))),
        };
      },
    },
  ],
  ["a forgotten cursor that comes back", "a forgotten cursor is gone", { cursors: () => ({ forget: async () => {} }) }],
];

describe("a backbone that breaks a rule fails it", () => {
  for (const [what, rule, how] of BREAKS) {
    test(`${what} fails: ${rule}`, { timeout: 30_000 }, async () => {
      calls = 0;
      await tryRule(rule, ...(await pair()), PATIENCE_MS);
      calls = 0;
      await assert.rejects(tryRule(rule, ...(await pair(how)), PATIENCE_MS), { name: "AssertionError" });
    });
  }

  test("no rule is without a backbone that breaks it", () => {
    const never = RULE_TITLES.filter((title) => !BREAKS.some(([, rule]) => title.includes(rule)));
    assert.deepEqual(never, []);
  });

  test("a rule that is not there is no success", async () => {
    const [one, other] = await pair();
    assert.throws(() => tryRule("no such rule", one, other, PATIENCE_MS), /no rule has "no such rule" in its title/);
  });
});
