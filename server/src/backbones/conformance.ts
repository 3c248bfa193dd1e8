/**
 * The obligations of the Backbone contract, one named test each. A new backbone's own test file makes a harness and calls
 * `conformance`. Nothing here assumes that offsets are contiguous, that they begin at 1, that a frame of the bus arrives,
 * or that a backbone has every facet.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BUS_RULES } from "./bus-conformance.ts";
import { Case, KEEP, offsets, signal, type Rule, type StoreClock } from "./conformance-case.ts";
import { BackboneError, type Backbone, type Position, type Range } from "./contract.ts";
import { CURSOR_RULES } from "./cursors-conformance.ts";
import { LOG_RULES } from "./log-conformance.ts";
import { queueConformance } from "./queue-conformance/queue-conformance.ts";

/** How the suite gets at a backbone. */
export interface ConformanceHarness extends StoreClock {
  /** Makes one more instance on the same store and opens it. Where the store belongs to one process, instances may share it in process. */
  open(): Promise<Backbone>;
  /** Restarts the store in the middle of a test: afterwards instances made before work again or are replaced by `open`. */
  restart(): Promise<void>;
  /** Ends everything. */
  close(): Promise<void>;
}

/** Beyond any age and window of the tests, however far the store's clock and this process's are apart. */
const LONG_MS = 600_000;

/** Registers the suite for one backbone. `makeHarness` is called once. */
export function conformance(name: string, makeHarness: () => Promise<ConformanceHarness>): void {
  describe(`the backbone contract, kept by ${name}`, () => {
    let harness: ConformanceHarness;
    let one: Backbone;
    let other: Backbone;
    before(async () => {
      harness = await makeHarness();
      one = await harness.open();
      other = await harness.open();
    });
    after(() => harness.close());

    test("the capability record is plain, frozen data", () => {
      assert.deepEqual(JSON.parse(JSON.stringify(one.capabilities)), { ...one.capabilities });
      assert.ok(Object.isFrozen(one.capabilities));
      assert.ok(one.capabilities.messageBytes > 0);
    });
    test("an open backbone answers its check", () => one.check());

    for (const { title, needs, unless, run } of RULES) {
      test(title, async (context) => {
        const why = one[needs] ? unless?.(one.capabilities, one) : `no ${needs}`;
        if (why === undefined) await run(new Case(one, other));
        else context.skip(`${name}: ${why}`);
      });
    }

    const restart = async (): Promise<void> => {
      await harness.restart();
      one = await harness.open();
      other = await harness.open();
    };
    queueConformance(name, () => ({ clock: harness, one, other, restart }));

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
      const again = new Case(one, other, { channel: at.channel });
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
      const range = await at.eventually(async () => {
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

const RULES: readonly Rule[] = [...BUS_RULES, ...LOG_RULES, ...CURSOR_RULES];

/** Whether a position is one of the present epoch's, or of an older one up to where that is also the present one's history. */
function means({ epoch, forks = [] }: Range, position: Position): boolean {
  return (
    epoch === position.epoch || forks.some((fork) => fork.epoch === position.epoch && position.offset <= fork.offset)
  );
}

/** What the rules are called. */
export const RULE_TITLES: readonly string[] = RULES.map(({ title }) => title);

/** Tries the one rule that has these words in its title, with less patience; for showing that it can fail. */
export function tryRule(title: string, one: Backbone, other: Backbone, patienceMs: number): Promise<void> {
  const rule = RULES.find((candidate) => candidate.title.includes(title));
  if (!rule) throw new Error(`no rule has ${JSON.stringify(title)} in its title`);
  return rule.run(new Case(one, other, { patienceMs }));
}
