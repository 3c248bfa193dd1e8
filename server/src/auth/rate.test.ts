import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ManualClock } from "../manual-clock.ts";
import { RateLimiter } from "./rate.ts";

const TEN_PER_SECOND = { count: 10, perMs: 1000 };

const taken = (limiter: RateLimiter, key: string, tries: number): number =>
  Array.from({ length: tries }, () => limiter.take(key)).filter(Boolean).length;

test("a burst of one period, then as fast as the rate", async () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter(clock, TEN_PER_SECOND);
  assert.equal(taken(limiter, "a", 30), 10);
  await clock.advance(100);
  assert.equal(taken(limiter, "a", 30), 1);
  await clock.advance(550);
  assert.equal(taken(limiter, "a", 30), 5);
  await clock.advance(3_600_000);
  assert.equal(taken(limiter, "a", 30), 10, "what was not used does not add up beyond a period");
});

test("keys do not share, and one that is forgotten begins anew", () => {
  const limiter = new RateLimiter(new ManualClock(), TEN_PER_SECOND);
  assert.equal(taken(limiter, "a", 30), 10);
  assert.equal(taken(limiter, "b", 30), 10);
  limiter.forget("a");
  assert.equal(taken(limiter, "a", 30), 10);
});

test("a cost is taken as a whole or not at all", () => {
  const limiter = new RateLimiter(new ManualClock(), TEN_PER_SECOND);
  assert.equal(limiter.take("a", 8), true);
  assert.equal(limiter.take("a", 3), false);
  assert.equal(limiter.take("a", 2), true);
});

test("without a rate everything is allowed", () => {
  assert.equal(taken(new RateLimiter(new ManualClock(), undefined), "a", 1000), 1000);
});

test("a clock that goes back gives nothing away", () => {
  let now = 1_000_000;
  const limiter = new RateLimiter(Object.assign(new ManualClock(), { now: () => now }), TEN_PER_SECOND);
  assert.equal(taken(limiter, "a", 30), 10);
  now -= 500_000;
  assert.equal(taken(limiter, "a", 30), 0);
});

test("addresses that stayed away are forgotten: memory does not grow with all there ever were", async () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter(clock, TEN_PER_SECOND);
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 8000; i++) limiter.take(`${round}/${i}`);
    await clock.advance(2000);
  }
  assert.ok(limiter.size <= 16_000, `${limiter.size} are remembered`);
});

test("never more than the burst and the rate, however the calls are spread", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(300), { maxLength: 60 }), async (pauses) => {
      const clock = new ManualClock();
      const begun = clock.now();
      const limiter = new RateLimiter(clock, TEN_PER_SECOND);
      let passed = 0;
      for (const pause of pauses) {
        if (limiter.take("a")) passed++;
        if (limiter.take("a")) passed++;
        await clock.advance(pause);
      }
      assert.ok(passed <= 10 + ((clock.now() - begun) * 10) / 1000 + 1e-6);
    }),
    { numRuns: 30 },
  );
});
