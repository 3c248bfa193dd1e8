import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { CursorTable } from "./cursors.ts";
import type { PlacedRecord } from "./records.ts";

/** A log with two gateways that read all of it, and write what does not say what is the case once more. */
class Log {
  readonly records: PlacedRecord[] = [];
  readonly tables = { a: new CursorTable("a"), b: new CursorTable("b") };

  append(by: "a" | "b", entry: object): void {
    const offset = this.records.length;
    const value = Buffer.from(JSON.stringify({ ...entry, by }));
    const record = { offset, time: 0, key: Buffer.from("id"), value, headers: [] };
    this.records.push(record);
    for (const table of Object.values(this.tables)) table.take(record);
    const outcome = this.tables[by].outcome(offset);
    assert.ok(outcome);
    if (!outcome.whole) this.append(by, outcome.state);
  }
}

test("a topic of which compaction has left the newest record says the same as all of it", () => {
  const step = fc.record({
    by: fc.constantFrom("a" as const, "b" as const),
    claim: fc.boolean(),
    /** What the gateway believes may be so many steps old. */
    stale: fc.integer({ min: 0, max: 3 }),
    epoch: fc.constantFrom("e", "f"),
    offset: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
      const log = new Log();
      const seen = [log.tables.a.state("id")];
      for (const [now, { by, claim, stale, epoch, offset }] of steps.entries()) {
        const known = seen.at(-1 - stale) ?? { fence: 0, cursor: null };
        if (claim) log.append(by, { ...known, claim: now });
        else log.append(by, { fence: known.fence, cursor: { position: { epoch, offset }, sent: offset, attempts: 0 } });
        seen.push(log.tables.a.state("id"));
      }
      assert.deepEqual(log.tables.a.state("id"), log.tables.b.state("id"));
      const replayed = new CursorTable("c");
      replayed.take(log.records.at(-1) ?? assert.fail());
      const { fence, cursor } = log.tables.a.state("id");
      assert.deepEqual(replayed.state("id"), { fence, cursor });
    }),
  );
});

test("what is no entry of ours is passed over", () => {
  const table = new CursorTable("a");
  for (const value of [
    "",
    "no JSON",
    "null",
    "{}",
    '{"by":"b","fence":"1","cursor":null}',
    '{"by":"b","fence":1,"cursor":{}}',
  ]) {
    table.take({ offset: 0, time: 0, key: Buffer.from("id"), value: Buffer.from(value), headers: [] });
  }
  assert.deepEqual(table.state("id"), { fence: 0, cursor: null });
});
