import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "./manual-clock.ts";
import { MemoryReturn, processMemory, type ProcessMemory } from "./memory-return.ts";

const MB = 1024 * 1024;

class World {
  readonly clock = new ManualClock();
  resident = 100 * MB;
  /** What giving back leaves. */
  inUse = 100 * MB;
  busy = 0;
  connections = 0;
  given = 0;
  broken = false;
  readonly #memory: MemoryReturn;

  constructor() {
    const process: ProcessMemory = {
      resident: () => this.resident,
      busy: () => this.busy,
      giveBack: async () => {
        this.given++;
        if (this.broken) throw new Error("not on this runtime");
        this.resident = this.inUse;
      },
    };
    this.#memory = new MemoryReturn(this.clock, process, () => this.connections);
    this.#memory.start();
  }

  minutes(count: number): Promise<void> {
    return this.clock.advance(count * 60_000);
  }

  stop(): void {
    this.#memory.stop();
  }
}

describe("memory is given back", () => {
  test("after a surge, once, as soon as there is little to do", async () => {
    const world = new World();
    world.resident = 400 * MB;
    world.busy = 0.9;
    await world.minutes(1);
    assert.equal(world.given, 0, "a pause would be noticed");
    world.busy = 0.1;
    await world.minutes(10);
    assert.equal(world.given, 1);
    assert.equal(world.resident, 100 * MB);
    world.stop();
  });

  test("not where it has grown a little", async () => {
    const world = new World();
    world.resident = 150 * MB;
    await world.minutes(10);
    assert.equal(world.given, 0);
    world.stop();
  });

  test("what is in use is no reason to ask again", async () => {
    const world = new World();
    world.resident = world.inUse = 400 * MB;
    await world.minutes(10);
    assert.equal(world.given, 1);
    world.stop();
  });

  test("when many clients have left, though it did not grow", async () => {
    const world = new World();
    world.connections = 10_000;
    world.resident = world.inUse = 400 * MB;
    await world.minutes(2);
    assert.equal(world.given, 1);
    world.connections = 7000;
    world.inUse = 200 * MB;
    await world.minutes(10);
    assert.equal(world.given, 2);
    assert.equal(world.resident, 200 * MB);
    world.stop();
  });

  test("no more than once a minute, and never after the end", async () => {
    const world = new World();
    const grow = async (): Promise<void> => {
      world.resident = 400 * MB;
      await world.clock.advance(10_000);
    };
    for (let i = 0; i < 12; i++) await grow();
    assert.equal(world.given, 2);
    world.stop();
    assert.equal(world.clock.waiting, 0);
  });

  test("a runtime that cannot is asked once", async () => {
    const world = new World();
    world.broken = true;
    world.resident = 400 * MB;
    await world.minutes(10);
    assert.equal(world.given, 1);
    assert.equal(world.clock.waiting, 0);
  });
});

test("this process gives its garbage back", async () => {
  const memory = processMemory();
  let garbage: unknown[] = Array.from({ length: 1_000_000 }, (_, i) => ({ i, text: `x${i}` }));
  assert.equal(garbage.length, 1_000_000);
  const before = memory.resident();
  garbage = [];
  await memory.giveBack();
  const back = before - memory.resident();
  assert.ok(back > 50 * MB, `${Math.round(back / MB)} MB were given back`);
  assert.ok(memory.busy() > 0);
});
