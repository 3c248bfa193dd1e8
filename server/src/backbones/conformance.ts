/**
 * The obligations of the Backbone contract, one named test each. A new backbone's own test file makes a harness and calls
 * `conformance`. Nothing here assumes that offsets are contiguous, that they begin at 1, that a frame of the bus arrives,
 * or that a backbone has every facet.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  BackboneError,
  type AppendOptions,
  type Backbone,
  type Bus,
  type Cursor,
  type CursorKey,
  type Cursors,
  type Frame,
  type Log,
  type Message,
  type Position,
  type Range,
  type StoredMessage,
} from "./contract.ts";
import { queueConformance } from "./queue-conformance.ts";

/** How the suite gets at a backbone. */
export interface ConformanceHarness {
  /** Makes one more instance on the same store and opens it. Where the store belongs to one process, instances may share it in process. */
  open(): Promise<Backbone>;
  /** Restarts the store in the middle of a test: afterwards instances made before work again or are replaced by `open`. */
  restart(): Promise<void>;
  /** Moves the clock that the store measures age and windows by; absent where that clock cannot be moved. */
  advance?(ms: number): Promise<void>;
  /** What that clock says, in ms since 1970; absent where it is this process's. */
  now?(): number;
  /** Ends everything. */
  close(): Promise<void>;
}

/** Longest time that a test waits for something that must happen. */
const PATIENCE_MS = 10_000;
/** Beyond any age and window of the tests, however far the store's clock and this process's are apart. */
const LONG_MS = 600_000;
const KEEP: AppendOptions = { retention: {} };
const FRAMES_TO_SEE_ONE = 200;

/** Registers the suite for one backbone. `makeHarness` is called once. */
export function conformance(name: string, makeHarness: () => Promise<ConformanceHarness>): void {
  describe(`the backbone contract, kept by ${name}`, () => {
    let harness: ConformanceHarness;
    let one: Backbone;
    let other: Backbone;
    const rule = (
      title: string,
      needs: "bus" | "log" | "cursors" | undefined,
      run: (at: Case) => Promise<void>,
    ): void => {
      test(title, async (context) => {
        if (needs !== undefined && !one[needs]) {
          context.skip(`${name} has no ${needs}`);
          return;
        }
        await run(new Case(one, other));
      });
    };

    before(async () => {
      harness = await makeHarness();
      one = await harness.open();
      other = await harness.open();
    });
    after(() => harness.close());

    rule("the capability record is plain, frozen data", undefined, async ({ one }) => {
      assert.deepEqual(JSON.parse(JSON.stringify(one.capabilities)), { ...one.capabilities });
      assert.ok(Object.isFrozen(one.capabilities));
      assert.ok(one.capabilities.messageBytes > 0);
    });
    rule("an open backbone answers its check", undefined, async ({ one }) => one.check());

    for (const { title, needs, run } of RULES) rule(title, needs, run);

    const restart = async (): Promise<void> => {
      await harness.restart();
      one = await harness.open();
      other = await harness.open();
    };
    queueConformance(name, () => ({ harness, one, other, restart }));

    test("what was stored outlives a restart of the store, or the epoch changes", async (context) => {
      if (!one.log) {
        context.skip(`${name} has no log`);
        return;
      }
      const at = new Case(one, other);
      const [first, second] = [await at.append("1"), await at.append("2")];
      const keyed = await at.append("3", { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } });
      const { cursors } = one;
      const claimed = await cursors?.claim(at.cursorKey);
      if (cursors && claimed)
        await cursors.write([{ key: at.cursorKey, fence: claimed.fence, cursor: at.cursor(first) }]);

      await harness.restart();
      one = await harness.open();
      other = await harness.open();
      const again = new Case(one, other, at.channel);
      const range = await again.log.read(at.channel, { limit: 10 });
      if (!one.capabilities.durable) {
        assert.notEqual(range.epoch, first.epoch);
        assert.deepEqual(range.messages, []);
        return;
      }
      assert.ok(means(range, keyed), "a position from before the restart must still mean its place");
      assert.deepEqual(offsets(range.messages), [first.offset, second.offset, keyed.offset]);
      const next = await again.append("4");
      assert.ok(next.offset > keyed.offset);
      if (one.capabilities.dedupeWindowMs > 0) {
        const repeated = await again.append("3", { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } });
        assert.deepEqual(repeated, { epoch: range.epoch, offset: keyed.offset, duplicate: true });
      }
      if (one.cursors && claimed) {
        const reclaimed = await one.cursors.claim(at.cursorKey);
        assert.deepEqual(reclaimed.cursor, at.cursor(first));
        assert.ok(reclaimed.fence > claimed.fence);
      }
    });

    test("messages are removed by age, once they have it", async (context) => {
      if (!one.log || !one.capabilities.retention.includes("ageMs") || !harness.advance) {
        context.skip(`${name} has no retention by age, or a clock that cannot be moved`);
        return;
      }
      const at = new Case(one, other);
      const old = await at.append("old", { retention: { ageMs: 60_000 } });
      await harness.advance(LONG_MS);
      at.time += LONG_MS;
      const young = await at.append("young", { retention: { ageMs: 60_000 } });
      const range = await eventually(async () => {
        const found = await at.log.read(at.channel, { limit: 10 });
        return found.trimmed >= old.offset ? found : undefined;
      });
      assert.deepEqual(offsets(range.messages), [young.offset]);
    });

    test("a key is forgotten when its window is over", async (context) => {
      if (!one.log || one.capabilities.dedupeWindowMs === 0 || !harness.advance) {
        context.skip(`${name} has no deduplication, or a clock that cannot be moved`);
        return;
      }
      const at = new Case(one, other);
      const dedupe = { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } };
      const first = await at.append("1", dedupe);
      await harness.advance(LONG_MS);
      const second = await at.append("2", dedupe);
      assert.equal(second.duplicate, false);
      assert.ok(second.offset > first.offset);
    });

    test("a closed backbone rejects, and closing twice does no harm", async () => {
      const third = await harness.open();
      await third.close();
      await third.close();
      await assert.rejects(third.check(), BackboneError);
      if (third.log) await assert.rejects(third.log.read("closed", { limit: 1 }), BackboneError);
      if (third.bus) await assert.rejects(third.bus.publish("closed", signal("x")), BackboneError);
      if (third.cursors) await assert.rejects(third.cursors.write([]), BackboneError);
      if (third.queue) await assert.rejects(third.queue.info("closed"), BackboneError);
    });
  });
}

interface Rule {
  readonly title: string;
  readonly needs: "bus" | "log" | "cursors";
  readonly run: (at: Case) => Promise<void>;
}

/** A channel of its own on two instances, and short ways to say things. */
class Case {
  readonly one: Backbone;
  readonly other: Backbone;
  readonly channel: string;
  readonly cursorKey: CursorKey;
  time: number = Date.now();
  #count = 0;

  constructor(one: Backbone, other: Backbone, channel = `test:${crypto.randomUUID()}`) {
    this.one = one;
    this.other = other;
    this.channel = channel;
    this.cursorKey = { channel, user: "ann", name: "phone" };
  }

  get bus(): Bus {
    return present(this.one.bus);
  }
  get log(): Log {
    return present(this.one.log);
  }
  get cursors(): Cursors {
    return present(this.one.cursors);
  }

  message(text: string): Message {
    return { id: `${this.channel}-${this.#count++}`, time: this.time, data: JSON.stringify(text) };
  }

  append(text: string, options: AppendOptions = KEEP): ReturnType<Log["append"]> {
    return this.log.append(this.channel, this.message(text), options);
  }

  cursor({ epoch, offset }: { epoch: string; offset: number }, sent = offset, attempts = 0): Cursor {
    return { position: { epoch, offset }, sent, attempts };
  }
}

const RULES: readonly Rule[] = [
  // ── bus ──────────────────────────────────────────────────────────────────
  {
    title: "a frame reaches the listeners on every instance",
    needs: "bus",
    run: async (at) => {
      const mine = await listen(at.bus, at.channel);
      const theirs = await listen(present(at.other.bus), at.channel);
      await publishUntil(at, () => mine.frames.length > 0 && theirs.frames.length > 0);
      assert.equal(mine.frames[0]?.kind, "signal");
      await Promise.all([mine.stop(), theirs.stop()]);
    },
  },
  {
    title: "a frame arrives unaltered, with message, info and tags",
    needs: "bus",
    run: async (at) => {
      const { frames, stop } = await listen(at.bus, at.channel);
      const message: Message = {
        ...at.message('ünï\u2028 "quoted"'),
        info: { user: "ann", client: "c" },
        tags: { a: "b" },
      };
      await eventually(async () => {
        await at.bus.publish(at.channel, { kind: "message", message });
        return frames[0];
      });
      assert.deepEqual(frames[0], { kind: "message", message });
      await stop();
    },
  },
  {
    title: "a listener hears its own channel only",
    needs: "bus",
    run: async (at) => {
      const mine = await listen(at.bus, at.channel);
      const neighbours = await Promise.all(
        [`${at.channel}.x`, `${at.channel}/x`, `${at.channel}:x`, at.channel.slice(0, -1)].map((channel) =>
          listen(at.bus, channel),
        ),
      );
      await publishUntil(at, () => mine.frames.length > 0);
      assert.deepEqual(
        neighbours.flatMap(({ frames }) => frames),
        [],
      );
      await Promise.all([mine, ...neighbours].map(({ stop }) => stop()));
    },
  },
  {
    title: "each of several listeners gets every frame, and stopping one stops it at once, twice without harm",
    needs: "bus",
    run: async (at) => {
      const first = await listen(at.bus, at.channel);
      const second = await listen(at.bus, at.channel);
      await publishUntil(at, () => first.frames.length > 0 && second.frames.length > 0);
      const stopped = first.stop();
      const heard = first.frames.length;
      await publishUntil(at, () => second.frames.length > heard + 1);
      await stopped;
      await first.stop();
      assert.equal(first.frames.length, heard);
      await second.stop();
    },
  },
  {
    title: "every allowed channel name works, up to 255 bytes",
    needs: "bus",
    run: async (at) => {
      const names = ["a", "odd:.#/+=~!,$|^;()@_-", `long:${"x".repeat(250)}`, "$control"];
      for (const name of names) {
        const { frames, stop } = await listen(at.bus, name);
        await eventually(async () => {
          await at.bus.publish(name, signal(at.channel));
          return frames.find((frame) => frame.kind === "signal" && frame.signal === at.channel);
        });
        await stop();
      }
    },
  },
  // ── log ──────────────────────────────────────────────────────────────────
  {
    title: "a channel that was never written has an epoch, which stays when the first message comes",
    needs: "log",
    run: async (at) => {
      const [head] = await at.log.heads([at.channel]);
      assert.equal(head?.offset, 0);
      assert.equal(head?.trimmed, 0);
      assert.equal((await at.append("1")).epoch, head?.epoch);
    },
  },
  {
    title: "offsets rise in the order of awaited appends, and reading gives that order on every instance",
    needs: "log",
    run: async (at) => {
      const stored = [];
      for (const text of ["1", "2", "3", "4", "5"]) stored.push(await at.append(text));
      const wanted = stored.map(({ offset }) => offset);
      assert.deepEqual(
        wanted,
        [...wanted].toSorted((a, b) => a - b),
      );
      assert.equal(new Set(wanted).size, 5);
      for (const log of [at.log, present(at.other.log)]) {
        const range = await log.read(at.channel, { limit: 10 });
        assert.deepEqual(offsets(range.messages), wanted);
        assert.equal(range.head, wanted.at(-1));
        assert.deepEqual(
          range.messages.map(({ data }) => data),
          ["1", "2", "3", "4", "5"].map((text) => JSON.stringify(text)),
        );
      }
    },
  },
  {
    title: "appends that are not awaited are stored once each, in the order in which they were made",
    needs: "log",
    run: async (at) => {
      const texts = Array.from({ length: 100 }, (_, i) => String(i));
      const stored = await Promise.all(texts.map((text) => at.append(text)));
      assert.equal(new Set(stored.map(({ offset }) => offset)).size, 100);
      const range = await at.log.read(at.channel, { limit: 1000 });
      assert.deepEqual(
        range.messages.map(({ data }) => JSON.parse(data) as string),
        texts,
      );
    },
  },
  {
    title: "appends through two instances make one order",
    needs: "log",
    run: async (at) => {
      const theirs = present(at.other.log);
      const stored = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? at.log : theirs).append(at.channel, at.message(String(i)), KEEP)),
      );
      assert.equal(new Set(stored.map(({ offset }) => offset)).size, 20);
      const [mine, seen] = await Promise.all([at.log, theirs].map((log) => log.read(at.channel, { limit: 100 })));
      assert.deepEqual(mine?.messages, seen?.messages);
      assert.equal(mine?.messages.length, 20);
    },
  },
  {
    title: "a message comes back unaltered: id, time, data, info and tags",
    needs: "log",
    run: async (at) => {
      const rich: Message = {
        ...at.message("x"),
        data: '{"ü":"\\u2028\\u0000","n":[1e30,null]}',
        info: { user: "", client: "c", conn_info: { a: [1] } },
        tags: { a: "b", "": "" },
      };
      const { offset } = await at.log.append(at.channel, rich, KEEP);
      const empty = await at.log.append(at.channel, { ...at.message(""), data: '""' }, KEEP);
      const { messages } = await at.log.read(at.channel, { limit: 10 });
      assert.deepEqual(messages[0], { ...rich, offset });
      assert.equal(messages[1]?.offset, empty.offset);
    },
  },
  {
    title: "a message of 64 KiB is stored whole",
    needs: "log",
    run: async (at) => {
      const data = JSON.stringify("ü".repeat(32_000));
      await at.log.append(at.channel, { ...at.message(""), data }, KEEP);
      assert.equal((await at.log.read(at.channel, { limit: 1 })).messages[0]?.data, data);
    },
  },
  {
    title: "reading starts after a position, stops at the limit and at the bytes, and gives at least one message",
    needs: "log",
    run: async (at) => {
      const stored = [];
      for (const text of ["1", "2", "3", "4"]) stored.push((await at.append(text.repeat(100))).offset);
      const read = async (options: Parameters<Log["read"]>[1]): Promise<number[]> =>
        offsets((await at.log.read(at.channel, options)).messages);
      assert.deepEqual(await read({ after: stored[1] ?? 0, limit: 10 }), stored.slice(2));
      assert.deepEqual(await read({ limit: 2 }), stored.slice(0, 2));
      assert.deepEqual(await read({ limit: 10, maxBytes: 1 }), stored.slice(0, 1));
      assert.deepEqual(await read({ limit: 10, maxBytes: 150 }), stored.slice(0, 2));
      assert.deepEqual(await read({ after: stored[3] ?? 0, limit: 10 }), []);
    },
  },
  {
    title: "reading in reverse gives the newest first, from the head or from before a position",
    needs: "log",
    run: async (at) => {
      const stored = [];
      for (const text of ["1", "2", "3", "4"]) stored.push((await at.append(text)).offset);
      const read = async (options: Parameters<Log["read"]>[1]): Promise<number[]> =>
        offsets((await at.log.read(at.channel, { ...options, reverse: true })).messages);
      assert.deepEqual(await read({ limit: 10 }), stored.toReversed());
      assert.deepEqual(await read({ limit: 2 }), stored.toReversed().slice(0, 2));
      assert.deepEqual(await read({ after: stored[2] ?? 0, limit: 10 }), stored.slice(0, 2).toReversed());
    },
  },
  {
    title: "heads answers for several channels, in the order asked for",
    needs: "log",
    run: async (at) => {
      const { offset, epoch } = await at.append("1");
      const never = `${at.channel}-never`;
      const [first, second, third] = await at.log.heads([never, at.channel, never]);
      assert.deepEqual([first?.offset, second?.offset, third?.offset], [0, offset, 0]);
      assert.equal(second?.epoch, epoch);
    },
  },
  {
    title: "channels do not mix, however alike their names are",
    needs: "log",
    run: async (at) => {
      const near = [`${at.channel}0`, `${at.channel}/`, at.channel.toUpperCase().replace("TEST", "test")];
      await at.append("mine");
      for (const name of near) await at.log.append(name, at.message(name), KEEP);
      const { messages } = await at.log.read(at.channel, { limit: 10 });
      assert.deepEqual(
        messages.map(({ data }) => data),
        ['"mine"'],
      );
    },
  },
  {
    title: "retention by count removes the oldest, keeps at least as many as asked, and says up to where",
    needs: "log",
    run: async (at) => {
      if (!at.one.capabilities.retention.includes("messages")) return;
      const stored: number[] = [];
      for (let i = 0; i < 30; i++) stored.push((await at.append(String(i), { retention: { messages: 10 } })).offset);
      const range = await at.log.read(at.channel, { limit: 100 });
      assert.ok(range.messages.length >= 10);
      assert.deepEqual(offsets(range.messages), stored.slice(-range.messages.length));
      if (range.messages.length < 30) assert.ok(range.trimmed >= (stored.at(-range.messages.length - 1) ?? 0));
      assert.ok(range.trimmed < (range.messages[0]?.offset ?? 0));
    },
  },
  {
    title: "retention by bytes removes the oldest and keeps the newest, however large it is",
    needs: "log",
    run: async (at) => {
      if (!at.one.capabilities.retention.includes("bytes")) return;
      for (let i = 0; i < 5; i++) await at.append("x".repeat(100), { retention: { bytes: 250 } });
      const { messages, trimmed } = await at.log.read(at.channel, { limit: 100 });
      assert.ok(messages.length >= 2);
      assert.ok(messages.length === 5 || trimmed > 0);
      const big = await at.append("x".repeat(1000), { retention: { bytes: 250 } });
      assert.equal((await at.log.read(at.channel, { limit: 100 })).messages.at(-1)?.offset, big.offset);
    },
  },
  {
    title: "remove forgets the messages, keeps epoch and head, and says so",
    needs: "log",
    run: async (at) => {
      const { epoch, offset } = await at.append("1");
      await at.log.remove(at.channel);
      const range = await at.log.read(at.channel, { limit: 10 });
      assert.deepEqual([range.epoch, range.head, range.messages.length], [epoch, offset, 0]);
      assert.ok(range.trimmed >= offset);
      const next = await at.append("2");
      assert.ok(next.offset > offset);
      assert.deepEqual(offsets((await at.log.read(at.channel, { limit: 10 })).messages), [next.offset]);
      await at.log.remove(`${at.channel}-never-written`);
    },
  },
  {
    title: "a repeated key stores nothing and answers the first position, also at once and through another instance",
    needs: "log",
    run: async (at) => {
      if (at.one.capabilities.dedupeWindowMs === 0) return;
      const dedupe = { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } };
      const first = await at.append("1", dedupe);
      assert.equal(first.duplicate, false);
      const again = await Promise.all([
        at.append("1", dedupe),
        present(at.other.log).append(at.channel, at.message("1"), dedupe),
      ]);
      for (const one of again) assert.deepEqual(one, { ...first, duplicate: true });
      const together = await Promise.all(
        Array.from({ length: 10 }, () => at.append("2", { ...KEEP, dedupe: { key: "k2", windowMs: 60_000 } })),
      );
      assert.equal(together.filter(({ duplicate }) => !duplicate).length, 1);
      assert.equal(new Set(together.map(({ offset }) => offset)).size, 1);
      assert.equal((await at.log.read(at.channel, { limit: 10 })).messages.length, 2);
    },
  },
  {
    title: "a key belongs to its channel",
    needs: "log",
    run: async (at) => {
      if (at.one.capabilities.dedupeWindowMs === 0) return;
      const dedupe = { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } };
      await at.append("1", dedupe);
      const elsewhere = await at.log.append(`${at.channel}-2`, at.message("1"), dedupe);
      assert.equal(elsewhere.duplicate, false);
    },
  },
  {
    title:
      "a backbone that announces its appends does so on every instance, with position and a prev that is right or absent",
    needs: "log",
    run: async (at) => {
      if (!at.one.capabilities.announces) return;
      const mine = await listen(at.bus, at.channel);
      const theirs = await listen(present(at.other.bus), at.channel);
      const stored: number[] = [];
      for (let i = 0; i < FRAMES_TO_SEE_ONE && (mine.frames.length < 3 || theirs.frames.length < 3); i++) {
        stored.push((await at.append(String(i))).offset);
      }
      await eventually(async () => (mine.frames.length >= 3 && theirs.frames.length >= 3 ? true : undefined));
      for (const frame of [...mine.frames, ...theirs.frames]) {
        assert.equal(frame.kind, "message");
        if (frame.kind !== "message") continue;
        const index = stored.indexOf(frame.position?.offset ?? -1);
        assert.notEqual(index, -1, "announced an offset that was never answered");
        if (frame.prev !== undefined) assert.equal(frame.prev, stored[index - 1] ?? 0);
        assert.equal(frame.message.data, JSON.stringify(String(index)));
      }
      await Promise.all([mine.stop(), theirs.stop()]);
    },
  },
  // ── cursors ──────────────────────────────────────────────────────────────
  {
    title: "a cursor that was never stored is absent, and its fence rises with every claim",
    needs: "cursors",
    run: async (at) => {
      const first = await at.cursors.claim(at.cursorKey);
      const second = await present(at.other.cursors).claim(at.cursorKey);
      assert.equal(first.cursor, undefined);
      assert.ok(second.fence > first.fence);
    },
  },
  {
    title: "a written cursor is what the next claim finds, on every instance",
    needs: "cursors",
    run: async (at) => {
      const { fence } = await at.cursors.claim(at.cursorKey);
      const cursor = at.cursor({ epoch: "e", offset: 7 }, 9, 2);
      assert.deepEqual(await at.cursors.write([{ key: at.cursorKey, fence, cursor }]), ["stored"]);
      assert.deepEqual((await present(at.other.cursors).claim(at.cursorKey)).cursor, cursor);
    },
  },
  {
    title: "a cursor never moves back within an epoch; at the same place sent and attempts are taken over",
    needs: "cursors",
    run: async (at) => {
      const { fence } = await at.cursors.claim(at.cursorKey);
      const write = (cursor: Cursor): Promise<readonly string[]> =>
        at.cursors.write([{ key: at.cursorKey, fence, cursor }]);
      await write(at.cursor({ epoch: "e", offset: 7 }));
      assert.deepEqual(await write(at.cursor({ epoch: "e", offset: 5 })), ["stored"]);
      await write(at.cursor({ epoch: "e", offset: 7 }, 12, 3));
      assert.deepEqual((await at.cursors.claim(at.cursorKey)).cursor, at.cursor({ epoch: "e", offset: 7 }, 12, 3));
    },
  },
  {
    title: "a cursor of another epoch replaces the old one",
    needs: "cursors",
    run: async (at) => {
      const { fence } = await at.cursors.claim(at.cursorKey);
      await at.cursors.write([{ key: at.cursorKey, fence, cursor: at.cursor({ epoch: "old", offset: 700 }) }]);
      await at.cursors.write([{ key: at.cursorKey, fence, cursor: at.cursor({ epoch: "new", offset: 1 }) }]);
      assert.deepEqual((await at.cursors.claim(at.cursorKey)).cursor?.position, { epoch: "new", offset: 1 });
    },
  },
  {
    title: "after a claim, writes with an older fence are fenced and store nothing",
    needs: "cursors",
    run: async (at) => {
      const older = await at.cursors.claim(at.cursorKey);
      await at.cursors.write([{ key: at.cursorKey, fence: older.fence, cursor: at.cursor({ epoch: "e", offset: 1 }) }]);
      const newer = await present(at.other.cursors).claim(at.cursorKey);
      const zombie = { key: at.cursorKey, fence: older.fence, cursor: at.cursor({ epoch: "e", offset: 9 }) };
      assert.deepEqual(await at.cursors.write([zombie]), ["fenced"]);
      const next = { key: at.cursorKey, fence: newer.fence, cursor: at.cursor({ epoch: "e", offset: 2 }) };
      assert.deepEqual(await present(at.other.cursors).write([next]), ["stored"]);
      assert.equal((await at.cursors.claim(at.cursorKey)).cursor?.position.offset, 2);
    },
  },
  {
    title: "a write with a newer fence than the store knows is stored, and fences the older ones off",
    needs: "cursors",
    run: async (at) => {
      // As after a loss of the store under a gateway that goes on: its holders are not to be told of a take-over.
      const { fence } = await at.cursors.claim(at.cursorKey);
      const survivor = { key: at.cursorKey, fence: fence + 5, cursor: at.cursor({ epoch: "e", offset: 3 }) };
      assert.deepEqual(await at.cursors.write([survivor]), ["stored"]);
      const older = { key: at.cursorKey, fence, cursor: at.cursor({ epoch: "e", offset: 4 }) };
      assert.deepEqual(await at.cursors.write([older]), ["fenced"]);
      const claimed = await at.cursors.claim(at.cursorKey);
      assert.equal(claimed.cursor?.position.offset, 3);
      assert.ok(claimed.fence > survivor.fence);
    },
  },
  {
    title: "several cursors are written together, with outcomes in the order of the writes",
    needs: "cursors",
    run: async (at) => {
      const keys = ["a", "b", "c"].map((name) => ({ ...at.cursorKey, name }));
      const claims = await Promise.all(keys.map((key) => at.cursors.claim(key)));
      const writes = keys.map((key, i) => ({
        key,
        fence: (claims[i]?.fence ?? 0) - (i === 1 ? 1 : 0),
        cursor: at.cursor({ epoch: "e", offset: i + 1 }),
      }));
      assert.deepEqual(await at.cursors.write(writes), ["stored", "fenced", "stored"]);
    },
  },
  {
    title: "cursors of other users, names and channels are others, whatever characters they have",
    needs: "cursors",
    run: async (at) => {
      const keys: CursorKey[] = [
        at.cursorKey,
        { ...at.cursorKey, user: "ann2" },
        { ...at.cursorKey, name: "phone2" },
        { ...at.cursorKey, channel: `${at.channel}2` },
        { ...at.cursorKey, user: "an", name: "nphone" },
        { ...at.cursorKey, user: 'ü":,\u0000{}*'.repeat(100), name: "x".repeat(128) },
      ];
      for (const [i, key] of keys.entries()) {
        const { fence } = await at.cursors.claim(key);
        await at.cursors.write([{ key, fence, cursor: at.cursor({ epoch: "e", offset: i + 1 }) }]);
      }
      for (const [i, key] of keys.entries()) assert.equal((await at.cursors.claim(key)).cursor?.position.offset, i + 1);
    },
  },
  {
    title: "a forgotten cursor is gone, and its fence goes on rising",
    needs: "cursors",
    run: async (at) => {
      const before = await at.cursors.claim(at.cursorKey);
      await at.cursors.write([
        { key: at.cursorKey, fence: before.fence, cursor: at.cursor({ epoch: "e", offset: 1 }) },
      ]);
      await at.cursors.forget(at.cursorKey);
      const afterwards = await at.cursors.claim(at.cursorKey);
      assert.equal(afterwards.cursor, undefined);
      assert.ok(afterwards.fence > before.fence);
    },
  },
];

/** The titles of the rules that a backbone with all facets is held to, and how to try one; for showing that they can fail. */
export function tryRule(title: string, one: Backbone, other: Backbone): Promise<void> {
  const rule = RULES.find((candidate) => candidate.title.includes(title));
  if (!rule) throw new Error(`no rule has ${JSON.stringify(title)} in its title`);
  return rule.run(new Case(one, other));
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the backbone lacks a facet that its sibling has");
  return value;
}

/** Whether a position is one of the present epoch's, or of an older one up to where that is also the present one's history. */
function means({ epoch, forks = [] }: Range, position: Position): boolean {
  return (
    epoch === position.epoch || forks.some((fork) => fork.epoch === position.epoch && position.offset <= fork.offset)
  );
}

function offsets(messages: readonly StoredMessage[]): number[] {
  return messages.map(({ offset }) => offset);
}

function signal(text: string): Frame {
  return { kind: "signal", signal: text };
}

async function listen(bus: Bus, channel: string): Promise<{ readonly frames: Frame[]; stop(): Promise<void> }> {
  const frames: Frame[] = [];
  const stop = await bus.subscribe(channel, (frame) => frames.push(frame));
  return { frames, stop };
}

/** A bus may lose frames: publishes until the condition holds. */
async function publishUntil(at: Case, condition: () => boolean): Promise<void> {
  await eventually(async () => {
    await at.bus.publish(at.channel, signal(JSON.stringify({ n: 1 })));
    return condition() ? true : undefined;
  });
}

/** Asks again, a little later each time, until there is an answer. */
async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let wait = 1; ; wait = Math.min(wait * 2, 250)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new assert.AssertionError({ message: `did not happen within ${PATIENCE_MS} ms` });
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
