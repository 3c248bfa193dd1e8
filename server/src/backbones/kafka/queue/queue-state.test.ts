import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Redelivery } from "../../contract.ts";
import { commandOf, COMMAND_FORMAT, recordOfCommand, type Command, type WrittenCommand } from "./commands.ts";
import { QueueState, type StateRow } from "./queue-state.ts";

const redelivery: Redelivery = { maxAttempts: 2, backoff: { firstMs: 5, lastMs: 20 }, deadLetters: true };
const QUEUES = ["jobs:a", "jobs:ü"];
const groups = fc.constantFrom("g", "h");
/** The number of a lease that was handed out, from the newest. */
const nth = fc.nat({ max: 8 });

interface Step {
  readonly queue: string;
  /** Since the step before; clocks of leaders differ, so it may go back. */
  readonly later: number;
  readonly command: Command | { readonly of: number; readonly with: (lease: string) => Command };
}

const command: fc.Arbitrary<Step["command"]> = fc.oneof(
  fc
    .record({ key: fc.nat({ max: 5 }), ms: fc.nat({ max: 40 }), delay: fc.option(fc.nat({ max: 30 })) })
    .map(({ key, ms, delay }): Command => {
      const options = { dedupe: { key: `${key}`, windowMs: ms }, ...(delay !== null && { deliverAt: delay }) };
      return { do: "enqueue", job: { id: `${key}`, time: ms }, options };
    }),
  fc
    .record({ group: groups, limit: fc.integer({ min: 1, max: 4 }), leaseMs: fc.nat({ max: 30 }) })
    .map(({ group, limit, leaseMs }): Command => ({
      do: "lease",
      group,
      options: { limit, leaseMs, redelivery },
      nonce: "n",
    })),
  fc.record({ of: nth, group: groups }).map(({ of, group }) => ({
    of,
    with: (lease: string): Command => ({ do: "done", group, lease }),
  })),
  fc.record({ of: nth, group: groups, untried: fc.boolean() }).map(({ of, group, untried }) => ({
    of,
    with: (lease: string): Command => ({ do: "fail", group, lease, failure: { redelivery, untried } }),
  })),
  fc.record({ of: nth, group: groups }).map(({ of, group }) => ({
    of,
    with: (lease: string): Command => ({ do: "extend", group, lease, leaseMs: 20 }),
  })),
  fc.boolean().map((paused): Command => ({ do: "pause", paused })),
  groups.map((group): Command => ({ do: "forget", group })),
  fc.constantFrom<Command>({ do: "replay", ids: ["1", "2"] }, { do: "purge", ids: ["1"] }),
  fc.integer({ min: -1, max: 60 }).map((since): Command => ({ do: "snapshot", since })),
);

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({ queue: fc.constantFrom(...QUEUES), later: fc.integer({ min: -3, max: 12 }), command }),
  { minLength: 1, maxLength: 60 },
);

/** What a partition holds in which these steps were taken, one after the other. */
function logOf(all: readonly Step[]): readonly (WrittenCommand & { readonly time: number })[] {
  const state = new QueueState();
  const leases: string[] = [];
  let time = 1;
  return all.map(({ queue, later, command: given }, offset) => {
    time += later;
    const made = "of" in given ? given.with(leases.at(-1 - given.of) ?? "none") : given;
    const named = made.do === "lease" ? { ...made, nonce: `${offset}` } : made;
    const written = { queue, command: named, data: "1", by: "gateway", n: offset, time };
    const outcome = state.apply(written, offset, time);
    if (typeof outcome === "object" && "leases" in outcome) leases.push(...outcome.leases.map(({ lease }) => lease));
    return written;
  });
}

test("who begins with the state as it was written down, anywhere, comes to the same as who has read all", () => {
  fc.assert(
    fc.property(steps, fc.nat({ max: 60 }), (all, place) => {
      const log = logOf(all);
      const [reader, later] = [new QueueState(), new QueueState()];
      const at = Math.min(place, log.length);
      for (const [offset, written] of log.entries()) {
        if (offset === at) for (const row of writtenDown(reader)) later.restore(row);
        const outcome = reader.apply(written, offset, written.time);
        if (offset >= at) assert.deepEqual(later.apply(written, offset, written.time), outcome);
      }
      if (at < log.length) {
        assert.deepEqual(writtenDown(later), writtenDown(reader));
        assert.equal(later.bytes, reader.bytes);
      }
    }),
  );
});

test("where nothing would be handed out, a look at the state says the same as the command", () => {
  fc.assert(
    fc.property(steps, groups, fc.constantFrom(...QUEUES), (all, group, queue) => {
      const state = new QueueState();
      const log = logOf(all);
      for (const [offset, written] of log.entries()) state.apply(written, offset, written.time);
      const idle = state.idle(queue, group, state.time);
      const options = { limit: 1, leaseMs: 10, redelivery };
      const lease = { do: "lease", group, options, nonce: "last" } as const;
      const outcome = state.apply({ queue, data: "", by: "b", n: 0, command: lease }, log.length, state.time);
      if (idle) assert.deepEqual(outcome, idle);
      else if (typeof outcome === "object" && "leases" in outcome && outcome.leases.length === 0) {
        // It noted something: a group, a delay, a dead letter.
        assert.notDeepEqual(state.idle(queue, group, state.time), undefined);
      }
    }),
  );
});

/** What a state of the format was after these steps, when the format was made. */
const KNOWN = { format: 1, sha256: "e0c94ea76b95961926f2448450e3f0cdb367ab0a3d1ae415983d8a35d794e11b" };

test("the same commands come to what they came to in every version with the same format", () => {
  const random = dice(7);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] ?? assert.fail();
  const all = Array.from({ length: 1500 }, (_, i): Step => {
    const group = pick(["g", "h", "i"]);
    const failure = { redelivery, untried: random(3) === 0, reason: "so it is" };
    const job = { id: `${i}`, time: i };
    const dedupe = { key: `${random(40)}`, windowMs: random(200) };
    const kinds: readonly (() => Step["command"])[] = [
      () => ({ do: "enqueue", job, options: { dedupe } }),
      () => ({ do: "enqueue", job, options: { deliverAt: 5 * i + random(100) } }),
      () => ({ do: "enqueue", job, options: { expiresAt: 5 * i + random(300) } }),
      () => ({ do: "lease", group, options: { limit: 1 + random(4), leaseMs: random(90), redelivery }, nonce: "" }),
      () => ({ do: "lease", group, options: { limit: 1 + random(4), leaseMs: random(90), redelivery }, nonce: "" }),
      () => ({ of: random(6), with: (lease) => ({ do: "done", group, lease }) }),
      () => ({ of: random(6), with: (lease) => ({ do: "fail", group, lease, failure }) }),
      () => ({ of: random(6), with: (lease) => ({ do: "extend", group, lease, leaseMs: random(50) }) }),
      () => ({ do: "pause", paused: random(4) === 0 }),
      () =>
        pick<Command>([
          { do: "forget", group: "i" },
          { do: "snapshot", since: -1 },
        ]),
      () => ({ do: pick(["replay", "purge"] as const), ids: [`${random(20)}`, `${random(200)}`] }),
    ];
    return { queue: pick(QUEUES), later: random(12) - 1, command: pick(kinds)() };
  });
  const state = new QueueState();
  const hash = createHash("sha256");
  for (const [offset, written] of logOf(all).entries()) {
    hash.update(JSON.stringify(state.apply(written, offset, written.time) ?? null));
    if (offset % 250 === 0) hash.update(JSON.stringify(state.dump()));
  }
  const found = { format: COMMAND_FORMAT, sha256: hash.digest("hex") };
  assert.deepEqual(
    found,
    KNOWN,
    "gateways of this version and of the one before would know different things of the same log: raise COMMAND_FORMAT, and note here what it comes to",
  );
});

/** Numbers below `n`, the same on every machine and in every year. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 16) % n;
  };
}

test("a command is read as it was written, and nothing else is taken for one", () => {
  const made: Command = { do: "enqueue", job: { id: "1", time: 2, tags: { a: "b" } }, options: { expiresAt: 3 } };
  const { key, value, headers } = recordOfCommand("jobs:ü", made, { by: "me", n: 4 }, '"data"');
  const placed = { offset: 0, time: 0, key, value, headers: [...(headers ?? [])] };
  assert.deepEqual(commandOf(placed), { queue: "jobs:ü", data: '"data"', by: "me", n: 4, command: made });
  assert.equal(commandOf({ ...placed, headers: [] }), undefined);
  for (const text of ["", "no JSON", "null", "{}", '{"format":"1"}', '{"format":1,"by":"b","command":{}}']) {
    const strange = [[Buffer.from("todoku-command"), Buffer.from(text)]] as const;
    assert.equal(commandOf({ ...placed, headers: strange }), undefined, text);
  }
});

test("a command of which something is missing, or something else, is none", () => {
  const job = { id: "1", time: 2 };
  const failure = { redelivery, retryInMs: 1, untried: false, reason: "so it is" };
  const whole: Readonly<Record<string, object>> = {
    enqueue: {
      job: { ...job, tags: { a: "b" }, info: { user: "u", client: "c" } },
      options: { dedupe: { key: "k", windowMs: 1 }, deliverAt: 1, expiresAt: 1 },
    },
    lease: { group: "g", options: { limit: 1, leaseMs: 1, redelivery }, nonce: "" },
    done: { group: "g", lease: "l" },
    fail: { group: "g", lease: "l", failure },
    extend: { group: "g", lease: "l", leaseMs: 1 },
    pause: { paused: true },
    forget: { group: "g" },
    replay: { ids: ["1"] },
    purge: { ids: ["1"] },
    snapshot: { since: 1 },
  };
  const read = (kind: string, given: unknown): unknown => {
    const header = JSON.stringify({
      format: COMMAND_FORMAT,
      by: "me",
      n: 1,
      command: { ...(given as object), do: kind },
    });
    const headers = [[Buffer.from("todoku-command"), Buffer.from(header)]] as const;
    return commandOf({ offset: 0, time: 0, key: Buffer.from("jobs:a"), value: Buffer.from("1"), headers });
  };
  for (const [kind, given] of Object.entries(whole)) {
    assert.ok(read(kind, given), kind);
    for (const flawed of flaws(given)) assert.equal(read(kind, flawed), undefined, JSON.stringify({ kind, flawed }));
  }
});

/** The same with one thing in it, anywhere, replaced by `null`, and by something of another kind. */
function* flaws(value: unknown): Iterable<unknown> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, part] of Object.entries(value)) {
    const put = (other: unknown): unknown =>
      Array.isArray(value) ? value.with(Number(name), other) : { ...value, [name]: other };
    yield put(null);
    yield put(typeof part === "string" ? 1 : "x");
    for (const flawed of flaws(part)) yield put(flawed);
  }
}

/** As it would be read from a snapshot. */
function writtenDown(state: QueueState): StateRow[] {
  return JSON.parse(JSON.stringify(state.dump())) as StateRow[];
}
