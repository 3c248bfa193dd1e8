/**
 * The server is killed at random moments, again and again, under load. `TODOKU_SEED` repeats a run's choices (not the
 * system's timing); `TODOKU_KILLS` makes it longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigInput } from "../server/src/config.ts";
import { check, report } from "./checker.ts";
import { killRun, type RunOptions } from "./kill/run.ts";

const KILLS = Number(process.env["TODOKU_KILLS"] ?? 50);
const SEED = Number(process.env["TODOKU_SEED"] ?? Math.floor(Math.random() * 2 ** 32));

const open = {
  backbone: "local",
  subscribe: "any",
  publish: "any",
  history: "any",
  retention: { messages: 1_000_000 },
} as const;

const CONFIG = {
  auth: { insecure: true },
  client: {
    unauthenticated_per_address: 10_000,
    rate: { commands: "off", publish: "off", subscribe: "off", connects: "off" },
  },
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: {
    least: { ...open, delivery: "at-least-once" },
    once: { ...open, delivery: "exactly-once" },
  },
} as const satisfies ConfigInput;

const RUN: RunOptions = {
  seed: SEED,
  kills: KILLS,
  publishers: 20,
  steady: 180,
  durable: 20,
  config: CONFIG,
  demands: { least: "at-least-once", once: "exactly-once" },
  channelsPerNamespace: 4,
};

/** Large enough for the fault to show, small enough to be quick. */
const CONTROL: RunOptions = { ...RUN, kills: 6, steady: 16, durable: 16 };

test(
  `${KILLS} kills lose nothing that was acknowledged, and exactly-once stays so`,
  {
    timeout: 60_000 + KILLS * 6_000,
  },
  async (t) => {
    t.diagnostic(`TODOKU_SEED=${SEED}`);
    const { events, acknowledged, duplicates, handled } = await killRun(RUN);
    const violations = check(events);
    t.diagnostic(`${acknowledged} publishes acknowledged, ${duplicates} of them repeated after they were stored`);
    t.diagnostic(`${handled} messages handled by ${RUN.steady + RUN.durable} subscribers`);
    assert.deepEqual(violations, [], report(violations));
    assert.ok(duplicates > 0, "the run must have come to repeated publishes, or it shows nothing");
  },
);

test("control: the checker goes red when dedupe is switched off", async (t) => {
  t.diagnostic(`TODOKU_SEED=${SEED}`);
  const { once, least } = CONFIG.namespaces;
  const namespaces = { least, once: { ...once, delivery: "at-least-once", dedupe: "0s" } } as const;
  const { events } = await killRun({ ...CONTROL, config: { ...CONFIG, namespaces } });
  const violations = check(events);
  assert.ok(
    violations.some(({ rule, channel }) => rule === "I3" && channel.startsWith("once:")),
    report(violations),
  );
});

test("control: the checker goes red when durable cursors are not persisted", async (t) => {
  t.diagnostic(`TODOKU_SEED=${SEED}`);
  const { events } = await killRun({ ...CONTROL, losesCursors: true });
  const violations = check(events);
  assert.ok(
    violations.some(({ rule, subscriber }) => rule === "I1" && subscriber?.startsWith("durable-")),
    report(violations),
  );
});
