import assert from "node:assert/strict";
import { test } from "node:test";
import type { Frame } from "./contract.ts";
import { LocalBus } from "./local-bus.ts";

const FRAME: Frame = { kind: "signal", signal: "{}" };

function heard(bus: LocalBus, channel: string): string[] {
  const names: string[] = [];
  for (const name of ["a", "b", "c"]) bus.add(channel, () => names.push(name));
  return names;
}

test("whichever listener is taken off, the others hear what comes, in the order in which they were added", async () => {
  for (const [gone, left] of [
    [0, ["b", "c"]],
    [1, ["a", "c"]],
    [2, ["a", "b"]],
  ] as const) {
    const bus = new LocalBus();
    const names: string[] = [];
    const stops = ["a", "b", "c"].map((name) => bus.add("x", () => names.push(name)));
    await stops[gone]?.();
    await stops[gone]?.();
    bus.emit("x", FRAME);
    assert.deepEqual(names, left);
    for (const stop of stops) await stop();
    assert.equal(bus.has("x"), false);
  }
});

test("listeners that are taken off while a frame is under way do not hear it, and keep it from nobody", () => {
  const bus = new LocalBus();
  const names: string[] = [];
  const stops: (() => Promise<void>)[] = [];
  for (const name of ["a", "b", "c"]) {
    const listener = (): void => {
      names.push(name);
      if (name === "a") for (const stop of stops.slice(0, 2)) void stop();
    };
    stops.push(bus.add("x", listener));
  }
  bus.emit("x", FRAME);
  assert.deepEqual(names, ["a", "c"]);
});

test("an owner's listeners are taken off together, and nobody else's", () => {
  const bus = new LocalBus();
  const owner = {};
  const others = heard(bus, "x");
  const own: string[] = [];
  for (const channel of ["x", "y"]) bus.add(channel, () => own.push(channel), owner);
  bus.clear(owner);
  for (const channel of ["x", "y"]) bus.emit(channel, FRAME);
  assert.deepEqual([own, others, bus.has("y")], [[], ["a", "b", "c"], false]);
  bus.clear();
  assert.equal(bus.has("x"), false);
});
