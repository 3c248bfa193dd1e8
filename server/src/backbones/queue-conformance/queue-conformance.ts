/** The obligations of the contract's queue, one named test each; `conformance` runs them for every backbone that has one. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { StoreClock } from "../conformance-case.ts";
import type { Backbone } from "../contract.ts";
import { DEAD_LETTER_RULES } from "./dead-letter-rules.ts";
import { GROUP_RULES } from "./group-rules.ts";
import { HAND_OUT_RULES } from "./hand-out-rules.ts";
import { LEASE_RULES } from "./lease-rules.ts";
import { MINUTE_MS, present, QueueCase, texts, type QueueRule } from "./queue-case.ts";

const QUEUE_RULES: readonly QueueRule[] = [...HAND_OUT_RULES, ...GROUP_RULES, ...LEASE_RULES, ...DEAD_LETTER_RULES];

/** What the suite stands on at the moment: a restart replaces the instances. */
export interface Instances {
  readonly clock: StoreClock;
  readonly one: Backbone;
  readonly other: Backbone;
  /** Restarts the store and opens new instances. */
  restart(): Promise<void>;
}

/** Registers the queue's rules. `instances` is asked at the beginning of each test. */
export function queueConformance(name: string, instances: () => Instances): void {
  describe("as a queue", () => {
    let absent: string | false = false;
    before(() => {
      absent = instances().one.queue ? false : `${name} has no queue`;
    });
    for (const { title, run } of QUEUE_RULES) {
      test(title, async (context) => {
        if (absent !== false) {
          context.skip(absent);
          return;
        }
        const { clock, one, other } = instances();
        await run(new QueueCase(clock, one, other));
      });
    }
    test("jobs, leases, delays, keys and dead letters outlive a restart of the store", async (context) => {
      const before = instances();
      if (absent !== false || !before.one.capabilities.durable) {
        context.skip(`${name} keeps no jobs over a restart`);
        return;
      }
      const at = new QueueCase(before.clock, before.one, before.other);
      await at.enqueue("held", { dedupe: { key: "k", windowMs: MINUTE_MS } });
      await at.enqueue("ready");
      const [held] = await at.lease({ limit: 1 });
      await before.restart();
      const { clock, one, other } = instances();
      const again = new QueueCase(clock, one, other, at.name);
      assert.deepEqual(await again.enqueue("held", { dedupe: { key: "k", windowMs: MINUTE_MS } }), { duplicate: true });
      assert.deepEqual(texts(await again.lease()), ["ready"]);
      assert.equal(await again.queue.done(again.name, "g", present(held).lease), "done");
    });
  });
}
