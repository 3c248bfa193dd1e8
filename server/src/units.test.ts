import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatDuration, parseBytes, parseDuration, parseRate } from "./units.ts";

test("durations have a number and a unit", () => {
  for (const [text, ms] of [
    ["250ms", 250],
    ["25s", 25_000],
    ["1.5m", 90_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    ["0s", 0],
    ["36500d", 3_153_600_000_000],
    ["36501d", undefined],
    [`${"9".repeat(400)}d`, undefined],
  ] as const) {
    assert.equal(parseDuration(text), ms, text);
  }
  for (const text of ["", "5", "s", "5 s", "-5s", "5S", "1e3s", "5s ", "5sm", ".5s", "5.s", "Infinitys"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test("sizes have a number and a unit, of 1000 or of 1024", () => {
  for (const [text, bytes] of [
    ["512B", 512],
    ["64KiB", 65_536],
    ["64KB", 64_000],
    ["1.5MiB", 1_572_864],
    ["1GB", 1_000_000_000],
    [`${"9".repeat(30)}B`, undefined],
  ] as const) {
    assert.equal(parseBytes(text), bytes, text);
  }
  for (const text of ["", "5", "5K", "5kb", "-1B", "5 MiB", "MiB"]) assert.equal(parseBytes(text), undefined, text);
});

test("rates are a count per second, minute or hour", () => {
  assert.deepEqual(parseRate("50/s"), { count: 50, perMs: 1000 });
  assert.deepEqual(parseRate("600/m"), { count: 600, perMs: 60_000 });
  assert.deepEqual(parseRate("1/h"), { count: 1, perMs: 3_600_000 });
  for (const text of ["", "off", "0/s", "5", "5/d", "1.5/s", "-1/s", "05/s", `${"9".repeat(10)}/s`]) {
    assert.equal(parseRate(text), undefined, text);
  }
});

test("a duration that is written out is read back", () => {
  fc.assert(
    fc.property(fc.nat(), (ms) => {
      assert.equal(parseDuration(formatDuration(ms)), ms);
    }),
  );
});
