import assert from "node:assert/strict";
import { test } from "node:test";
import { sendEvenly, sentTo } from "./even-schedule.ts";
import { monotonicMicroseconds } from "./stamp.ts";

test("what is due is sent, in turn to each channel, with the moment when it was due", async () => {
  const sent: { channel: string; sequence: number; due: number }[] = [];
  const channels = ["a", "b", "c"];
  const schedule = { rate: 2000, ms: 50, channels, first: 4, now: monotonicMicroseconds };
  const count = await sendEvenly(schedule, (channel, sequence, due) => void sent.push({ channel, sequence, due }));
  assert.equal(count, 100);
  const named = sent.slice(0, 4).map(({ channel, sequence }) => `${channel}${sequence}`);
  assert.deepEqual(named, ["b1", "c1", "a2", "b2"]);
  const apart = sent.slice(1).map(({ due }, i) => Math.round(due - (sent[i]?.due ?? 0)));
  assert.ok(apart.every((us) => us === 500));
  const publishedOn = sentTo(channels, 104);
  assert.deepEqual(channels.map(publishedOn), [35, 35, 34]);
});

test("an error of the sender ends it", async () => {
  const schedule = { rate: 1000, ms: 60_000, channels: ["a"], first: 0, now: monotonicMicroseconds };
  await assert.rejects(
    sendEvenly(schedule, () => {
      throw new Error("cannot send");
    }),
    /cannot send/,
  );
});

test("it ends early when it is told to", async () => {
  const stop = new AbortController();
  const { signal } = stop;
  const schedule = { rate: 1000, ms: 60_000, channels: ["a"], first: 0, signal, now: monotonicMicroseconds };
  const count = await sendEvenly(schedule, (_, sequence) => {
    if (sequence === 2) stop.abort();
  });
  assert.ok(count >= 3);
});
