/** Impossible promises stop the server, each with the namespace, the promise, the backbone and what could keep it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Backbone, Capabilities } from "../backbones/contract.ts";
import { EmbeddedBackbone } from "../backbones/embedded/embedded.ts";
import { MEMORY_CAPABILITIES, MemoryBackbone } from "../backbones/memory.ts";
import type { ConfigInput } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { parseConfig } from "../config-file.ts";
import { ManualClock } from "../manual-clock.ts";
import { openNamespaces } from "./open.ts";
import type { Namespaces } from "./namespace.ts";

type NamespaceInput = NonNullable<ConfigInput["namespaces"]>[string];

const clock = new ManualClock();
const MEMORY = new MemoryBackbone({}, clock);
const EMBEDDED = new EmbeddedBackbone("local", { path: "never-opened" }, clock);

/** A backbone that has what `memory` has, but for what is said. */
function like(
  type: string,
  {
    without = [],
    ...capabilities
  }: Partial<Capabilities> & { without?: readonly ("bus" | "log" | "cursors" | "queue")[] },
): Backbone {
  const made: Record<string, unknown> = { type, capabilities: { ...MEMORY_CAPABILITIES, ...capabilities } };
  for (const facet of ["bus", "log", "cursors", "queue"] as const)
    if (!without.includes(facet)) made[facet] = MEMORY[facet];
  return made as unknown as Backbone;
}

function open(
  namespaces: Record<string, NamespaceInput>,
  backbones: Record<string, Backbone>,
  more: ConfigInput = {},
): Namespaces {
  return openNamespaces(parseConfig({ ...more, namespaces }), new Map(Object.entries(backbones)));
}

function problemsOf(...given: Parameters<typeof open>): readonly string[] {
  try {
    open(...given);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

interface Refusal {
  readonly title: string;
  readonly rules: NamespaceInput;
  readonly backbones?: Record<string, Backbone>;
  readonly more?: ConfigInput;
  readonly problem: string;
}

const ARCHIVE = { archive: { type: "postgres" as const, url: "postgres://db.example/todoku" } };

const BUS_ONLY = like("bus-only", { without: ["log", "cursors", "queue"] });
const WITHOUT_TIMES = like("plain", { queue: { deliverAt: false, ttl: false, results: false } });
const WITHOUT_CURSORS = like("no-cursors", { without: ["cursors"], delivery: "exactly-once" });

const REFUSALS: readonly Refusal[] = [
  {
    title: "at-least-once on memory",
    rules: { backbone: "m", delivery: "at-least-once" },
    backbones: { m: MEMORY },
    problem:
      'namespace "chat" promises at-least-once, and "m" (memory) can keep at-most-once at most as its log (it does not survive a restart). ' +
      "Use a backbone of type embedded or redis-streams or kafka, or set namespaces.chat.delivery to at-most-once",
  },
  {
    title: "exactly-once on memory, beside a backbone that can",
    rules: { backbone: "m", delivery: "exactly-once" },
    backbones: { m: MEMORY, disk: EMBEDDED },
    problem:
      'namespace "chat" promises exactly-once, and "m" (memory) can keep at-most-once at most as its log (it does not survive a restart). ' +
      'Use "disk" (embedded), or set namespaces.chat.delivery to at-most-once',
  },
  {
    title: "cursors that do not last as long as the log",
    rules: { backbone: "disk", cursors: "m", delivery: "at-least-once" },
    backbones: { m: MEMORY, disk: EMBEDDED },
    problem:
      'namespace "chat" promises at-least-once, and "m" (memory) can keep at-most-once at most as its cursors (it does not survive a restart). ' +
      'Use "disk" (embedded), or set namespaces.chat.delivery to at-most-once',
  },
  {
    title: "no backbone, and none configured",
    rules: { delivery: "at-least-once" },
    problem: 'namespace "chat" has no backbone. Set namespaces.chat.backbone to a backbone, and add it under backbones',
  },
  {
    title: "no backbone, where one is configured",
    rules: {},
    backbones: { m: MEMORY, disk: EMBEDDED },
    problem: 'namespace "chat" has no backbone. Set namespaces.chat.backbone to m or disk',
  },
  {
    title: "a backbone that is not configured",
    rules: { backbone: "disc", delivery: "at-least-once" },
    backbones: { disk: EMBEDDED },
    problem:
      'namespace "chat" names the backbone "disc", which is not configured. Set namespaces.chat.backbone to disk',
  },
  {
    title: "a facet's backbone that is not configured",
    rules: { backbone: "disk", cursors: "disc", delivery: "at-least-once" },
    backbones: { disk: EMBEDDED },
    problem: 'namespace "chat" names the backbone "disc", which is not configured. Set namespaces.chat.cursors to disk',
  },
  {
    title: "a log that the backbone does not have",
    rules: { backbone: "wall", cursors: "disk", delivery: "at-least-once" },
    backbones: { wall: BUS_ONLY, disk: EMBEDDED },
    problem:
      'namespace "chat" promises at-least-once and needs a log for it, and "wall" (bus-only) has none. ' +
      'Set namespaces.chat.log to "disk" (embedded)',
  },
  {
    title: "cursors that the backbone does not have",
    rules: { backbone: "events", delivery: "at-least-once" },
    backbones: { events: WITHOUT_CURSORS },
    problem:
      'namespace "chat" promises at-least-once and needs cursors for it, and "events" (no-cursors) has none. ' +
      "Set namespaces.chat.cursors to a backbone of type embedded or redis-streams or kafka",
  },
  {
    title: "a bus and nothing that keeps messages",
    rules: { bus: "wall", cursors: "disk", delivery: "exactly-once" },
    backbones: { wall: BUS_ONLY, disk: EMBEDDED },
    problem:
      'namespace "chat" promises exactly-once and has no log for it. Set namespaces.chat.log to "disk" (embedded)',
  },
  {
    title: "a window of deduplication beyond what the backbone remembers",
    rules: { backbone: "disk", delivery: "exactly-once", dedupe: "31d" },
    backbones: { disk: EMBEDDED },
    problem:
      'namespace "chat" promises that repeated keys are recognised for 31d, and "disk" (embedded) remembers them for 30d at most. ' +
      "Shorten namespaces.chat.dedupe",
  },
  {
    title: "exactly-once without deduplication",
    rules: { backbone: "disk", delivery: "exactly-once", dedupe: "0s" },
    backbones: { disk: EMBEDDED },
    problem:
      'namespace "chat" promises exactly-once with no deduplication. Set namespaces.chat.dedupe to a window such as 10m ' +
      '("disk" (embedded) can keep up to 30d)',
  },
  {
    title: "exactly-once on a log that recognises no keys",
    rules: { backbone: "plain", delivery: "exactly-once" },
    backbones: { plain: like("plain", { delivery: "exactly-once", dedupeWindowMs: 0 }) },
    problem:
      'namespace "chat" promises exactly-once, and "plain" (plain) recognises no repeated keys. ' +
      "Use a backbone of type embedded or redis-streams or kafka",
  },
  {
    title: "deduplication of messages that are not kept",
    rules: { backbone: "m", dedupe: "10m" },
    backbones: { m: MEMORY },
    problem:
      'namespace "chat" promises that repeated keys are recognised for 10m, and keeps no messages on "m". ' +
      "Give it namespaces.chat.retention, or remove namespaces.chat.dedupe",
  },
  ...(["age", "messages", "bytes"] as const).map((key) => ({
    title: `retention by ${key}, where the backbone cannot`,
    rules: { backbone: "short", retention: { age: "1d", messages: 5, bytes: "1MiB" } },
    backbones: {
      short: like("short", {
        retention: (["ageMs", "messages", "bytes"] as const).filter((kind) => !kind.startsWith(key)),
      }),
    },
    problem:
      `namespace "chat" limits what is kept by ${key}, and "short" (short) cannot: it can by ` +
      `${["age", "messages", "bytes"].filter((kind) => kind !== key).join(" or ")}. Remove namespaces.chat.retention.${key}`,
  })),
  {
    title: "messages that are larger than the backbone takes",
    rules: { backbone: "small", retention: {} },
    backbones: { small: like("small", { messageBytes: 1000 }) },
    problem:
      'namespace "chat" takes messages of 65536 bytes, and "small" (small) takes 1000 at most. Lower client.message_bytes',
  },
  ...(
    [
      ["lost:chat", '"lost:chat", whose namespace is not configured. Add it to namespaces'],
      ["constructor:x", '"constructor:x", whose namespace is not configured. Add it to namespaces'],
      ["chat-dead", '"chat-dead", whose namespace is not configured. Add it to namespaces'],
      ["fleeting:x", '"fleeting:x", whose namespace keeps nothing. Give it a retention or a stronger delivery'],
      [
        "two words",
        '"two words", which has a character other than A-Z a-z 0-9 _ - . : / # @ = + ~ ! , $ | ^ ; ( ). Set namespaces.chat.redelivery.dead_letters to a channel',
      ],
    ] as const
  ).map(([dead_letters, problem]) => ({
    title: `dead letters to ${dead_letters}`,
    rules: { backbone: "disk", delivery: "at-least-once" as const, redelivery: { dead_letters } },
    backbones: { disk: EMBEDDED },
    problem: `namespace "chat" puts dead letters on ${problem}`,
  })),
  {
    title: "a queue on a backbone that has none",
    rules: { backbone: "wall", queue: {} },
    backbones: { wall: BUS_ONLY, disk: EMBEDDED },
    problem:
      'namespace "chat" is a queue, and "wall" (bus-only) has none. Set namespaces.chat.queue.backbone to "disk" (embedded)',
  },
  {
    title: "a queue's backbone that is not configured",
    rules: { backbone: "disk", queue: { backbone: "disc" } },
    backbones: { disk: EMBEDDED },
    problem:
      'namespace "chat" names the backbone "disc", which is not configured. Set namespaces.chat.queue.backbone to disk',
  },
  {
    title: "an exactly-once queue on memory",
    rules: { backbone: "m", delivery: "exactly-once", queue: {} },
    backbones: { m: MEMORY, disk: EMBEDDED },
    problem:
      'namespace "chat" promises exactly-once, and "m" (memory) can keep at-most-once at most as its queue (it does not survive a restart). ' +
      'Use "disk" (embedded), or set namespaces.chat.delivery to at-most-once',
  },
  {
    title: "jobs that expire, where the backbone cannot",
    rules: { backbone: "plain", queue: { ttl: "1d" } },
    backbones: { plain: WITHOUT_TIMES },
    problem:
      'namespace "chat" lets jobs expire, and "plain" (plain) cannot. Remove namespaces.chat.queue.ttl, or set ' +
      'namespaces.chat.queue.backbone to "plain" (plain)',
  },
  {
    title: "jobs that are held back, where the backbone cannot",
    rules: { backbone: "plain", queue: { deliver_at: true } },
    backbones: { plain: WITHOUT_TIMES },
    problem:
      'namespace "chat" holds jobs back until a time, and "plain" (plain) cannot. Remove namespaces.chat.queue.deliver_at, or set ' +
      'namespaces.chat.queue.backbone to "plain" (plain)',
  },
  ...(["log", "cursors"] as const).map((key) => ({
    title: `a queue with ${key}`,
    rules: { backbone: "disk", queue: {}, [key]: "disk" },
    backbones: { disk: EMBEDDED },
    problem: `namespace "chat" is a queue, which keeps its jobs until they are done. Remove namespaces.chat.${key}`,
  })),
  {
    title: "a storage that is not configured",
    rules: { backbone: "disk", delivery: "at-least-once", storage: "archve" },
    backbones: { disk: EMBEDDED },
    more: { storage: ARCHIVE },
    problem:
      'namespace "chat" names the storage "archve", which is not configured. Set namespaces.chat.storage to archive',
  },
  {
    title: "a storage for what is not kept",
    rules: { backbone: "disk", delivery: "at-most-once", storage: "archive" },
    backbones: { disk: EMBEDDED },
    more: { storage: ARCHIVE },
    problem:
      'namespace "chat" names the storage "archive", and keeps no messages that could be archived. Give it namespaces.chat.retention or a stronger delivery, or remove namespaces.chat.storage',
  },
  {
    title: "a queue with a storage",
    rules: { backbone: "disk", queue: {}, storage: "archive" },
    backbones: { disk: EMBEDDED },
    more: { storage: ARCHIVE },
    problem: 'namespace "chat" is a queue, which keeps its jobs until they are done. Remove namespaces.chat.storage',
  },
  {
    title: "a queue with a retention",
    rules: { backbone: "disk", queue: {}, retention: { age: "1d" } },
    backbones: { disk: EMBEDDED },
    problem: 'namespace "chat" is a queue, which keeps its jobs until they are done. Remove namespaces.chat.retention',
  },
  {
    title: "a queue that subscribers may consume from",
    rules: { backbone: "disk", queue: {}, consume: "subscribers" },
    backbones: { disk: EMBEDDED },
    problem:
      'namespace "chat" is a queue, which has no subscribers. Set namespaces.chat.consume to none, any, authenticated or token',
  },
  {
    title: "a queue that subscribers may publish to",
    rules: { backbone: "disk", queue: {}, publish: "subscribers" },
    backbones: { disk: EMBEDDED },
    problem:
      'namespace "chat" is a queue, which has no subscribers, with a token or without. Set namespaces.chat.publish to none, any or authenticated',
  },
  {
    title: "who may consume, where nothing is a queue",
    rules: { backbone: "disk", consume: "any" },
    backbones: { disk: EMBEDDED },
    problem: 'namespace "chat" says who may consume, and is no queue. Add namespaces.chat.queue',
  },
  ...(["subscribe", "publish", "history", "presence"] as const).map((key) => ({
    title: `${key} by token, where no tokens are configured`,
    rules: { backbone: "m", [key]: "token" },
    backbones: { m: MEMORY },
    problem: `namespace "chat" asks for a token in namespaces.chat.${key}, and no tokens are configured. Set auth.jwt`,
  })),
];

describe("a promise that cannot be kept stops the server", () => {
  for (const { title, rules, backbones = {}, more, problem } of REFUSALS) {
    test(title, () => {
      const fleeting: Record<string, NamespaceInput> = backbones["disk"] ? { fleeting: { backbone: "disk" } } : {};
      assert.deepEqual(problemsOf({ chat: rules, ...fleeting }, backbones, more), [problem]);
    });
  }

  test("all problems of all namespaces are told at once; the namespace without a name is written as it is in the file", () => {
    const problems = problemsOf({ "": { backbone: "m", delivery: "at-least-once" }, chat: {} }, { m: MEMORY });
    assert.equal(problems.length, 2);
    assert.match(problems[0] ?? "", /^namespace "" promises at-least-once.* set namespaces\.""\.delivery to/);
    assert.match(problems[1] ?? "", /^namespace "chat" has no backbone/);
  });
});

describe("a promise that can be kept", () => {
  const only = (rules: NamespaceInput, backbones: Record<string, Backbone>) => {
    const namespace = open({ chat: rules }, backbones).of("chat:1");
    assert.ok(namespace);
    return namespace;
  };

  test("at-most-once on a bus alone keeps no log", () => {
    const { log, cursors, dedupeMs, announces } = only({ backbone: "wall" }, { wall: BUS_ONLY });
    assert.deepEqual([log, cursors, dedupeMs, announces], [undefined, undefined, 0, false]);
  });

  test("exactly-once on the embedded log has a window of ten minutes, and seven days or 10,000 messages", () => {
    const { dedupeMs, retention, announces } = only({ backbone: "disk", delivery: "exactly-once" }, { disk: EMBEDDED });
    assert.equal(dedupeMs, 600_000);
    assert.deepEqual(retention, { ageMs: 7 * 86_400_000, messages: 10_000 });
    assert.equal(announces, true);
  });

  test("a log that limits nothing but the age has no other limit by default", () => {
    const events = like("partitioned", { delivery: "exactly-once", retention: ["ageMs"] });
    const { retention } = only({ backbone: "events", delivery: "exactly-once" }, { events });
    assert.deepEqual(retention, { ageMs: 7 * 86_400_000 });
  });

  test("the bus of one and the log of another: the log's appends do not reach the bus by themselves", () => {
    const { bus, log, announces } = only(
      { backbone: "disk", bus: "wall", delivery: "at-least-once" },
      { disk: EMBEDDED, wall: BUS_ONLY },
    );
    assert.equal(bus, BUS_ONLY.bus);
    assert.equal(log, EMBEDDED.log);
    assert.equal(announces, false);
  });

  test("the longest window is not longer than what the backbone remembers by default", () => {
    const short = like("short", { dedupeWindowMs: 5000 });
    assert.equal(only({ backbone: "short", retention: {} }, { short }).dedupeMs, 5000);
  });

  test("a retention that is given is taken as it is", () => {
    const { retention } = only({ backbone: "m", retention: { bytes: "1MB" } }, { m: MEMORY });
    assert.deepEqual(retention, { bytes: 1_000_000 });
  });
});
