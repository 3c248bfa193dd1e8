/**
 * Random histories against the law: the log is the truth, the bus is only a hint. Readers come, go, stop reading, fail and
 * acknowledge, while the bus loses, repeats and reorders frames and the log answers late. In the end each of them has
 * received everything after its start, in order, and what it has not was told as a gap.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "@todoku/protocol";
import * as fc from "fast-check";
import type { Backbone } from "../backbones/contract.ts";
import { withFaults, withLossyBus, type Fate } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock, sequence, settle } from "../manual-clock.ts";
import { TestGateway, type TestClient } from "../test-gateway.ts";

const CHANNEL = "short:a";
const RETAINED = 40;
const READERS = 3;
/** More inputs, for a long run: TODOKU_LONG=1. */
const RUNS = process.env["TODOKU_LONG"] === undefined ? 150 : 5000;

type Step =
  | { readonly do: "publish"; readonly count: number }
  | { readonly do: "begin" | "end" | "cut" | "hold" | "release" | "ack" | "nack"; readonly reader: number }
  | { readonly do: "turn"; readonly microtasks: number }
  | { readonly do: "wait"; readonly ms: number };

const reader = fc.nat(READERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("begin", "begin", "end", "cut"), reader }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("hold", "release", "release"), reader }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("ack", "ack", "nack"), reader }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("turn" as const), microtasks: fc.nat(8) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(0, 100, 1000, 6000) }) },
);

/** What a client of the extension knows and checks: where it stands, and that nothing is missing before the next. */
class Reader {
  position: Position | undefined;
  /** The highest that it was sent, for what comes again. */
  highest = 0;
  /** Handling it failed, and it has not come again yet. */
  owed: number | undefined;
  #acked = 0;
  readonly #gateway: TestGateway;
  readonly #acks: boolean;
  #client: TestClient | undefined;

  constructor(gateway: TestGateway, acks: boolean) {
    this.#gateway = gateway;
    this.#acks = acks;
  }

  async begin(): Promise<void> {
    if (this.#client) return;
    const client = this.#gateway.client();
    this.#client = client;
    const start = this.position ?? "earliest";
    client.send(
      { id: 1, connect: { todoku: { version: 1 } } },
      { id: 2, subscribe: { channel: CHANNEL, start, ...(this.#acks && { ack: true, in_flight: 5 }) } },
    );
    const reply = await client.take(({ id }) => id === 2);
    assert.ok(reply.subscribe, JSON.stringify(reply));
    const { epoch = "", offset = 0 } = reply.subscribe;
    this.position ??= { epoch, offset };
    this.highest = this.position.offset;
    this.#acked = this.highest;
  }

  end(cut: boolean): void {
    this.read();
    if (cut) this.#client?.cut();
    else this.#client?.send({ id: 3, unsubscribe: { channel: CHANNEL } });
    this.#client = undefined;
    this.owed = undefined;
  }

  hold(): void {
    this.#client?.socket.hold();
  }

  release(): void {
    this.#client?.socket.release();
  }

  acknowledge(): void {
    this.read();
    if (!this.#acks || !this.position || !this.#client) return;
    this.#client.send({ ack: { channel: CHANNEL, ...this.position } });
    this.#acked = this.highest;
    this.owed = undefined;
  }

  /** Says that the last message could not be handled, so that it comes again. */
  fail(): void {
    this.read();
    if (!this.#acks || !this.position || !this.#client) return;
    this.#client.send({ nack: { channel: CHANNEL, ...this.position } });
    if (this.highest > this.#acked) this.owed = this.highest;
  }

  /** Checks what has come. */
  read(): void {
    const client = this.#client;
    if (!client) return;
    for (const { push, error } of client.inbox.splice(0)) {
      assert.equal(error, undefined);
      assert.ok(this.position);
      if (push?.gap) {
        const { from, to, reason, epoch } = push.gap;
        if (reason === "failed") continue;
        assert.deepEqual([reason, epoch], ["retention", this.position.epoch]);
        // What the log no longer has cannot come again: it is told then, though it was sent once.
        const again = this.owed !== undefined && from <= this.owed && to >= this.owed;
        assert.ok(from <= this.highest + 1 && (again || to > this.highest), "a gap begins where the reader stands");
        if (to > this.highest) this.#moveTo(to);
        if (again) this.owed = undefined;
      } else if (push?.pub) {
        const { offset = 0, prev = 0, redelivered = false, data } = push.pub;
        assert.equal(data, offset, "message and place belong together");
        if (offset === this.owed) this.owed = undefined;
        assert.ok(
          prev < offset && prev <= this.highest,
          `${prev} → ${offset} leaves something out after ${this.highest}`,
        );
        if (offset > this.highest) {
          assert.equal(offset, this.highest + 1, "in order and without holes");
          this.#moveTo(offset);
        } else {
          assert.ok(this.#acks && redelivered, `${offset} came again after ${this.highest}`);
        }
      }
    }
  }

  #moveTo(offset: number): void {
    assert.ok(this.position);
    this.highest = offset;
    this.position = { epoch: this.position.epoch, offset };
  }
}

/** The log answers after some turns of the microtask queue, both before and after it looks. */
function withSlowLog(backbone: Backbone, random: () => number): Backbone {
  const pause = async (): Promise<void> => {
    for (let i = Math.floor(random() * 6); i > 0; i--) await Promise.resolve();
    if (random() < 0.1) await new Promise((resolve) => setImmediate(resolve));
  };
  return withFaults(backbone, async (call, go) => {
    if (call !== "log.read" && call !== "log.heads") return go();
    await pause();
    const result = await go();
    await pause();
    return result;
  });
}

async function run(steps: readonly Step[], seed: number, fates: readonly Fate[]): Promise<void> {
  const random = sequence(seed);
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const lossy = withLossyBus(memory, () => fates[Math.floor(random() * fates.length)] ?? "arrives");
  const gateway = await TestGateway.start({
    clock,
    backbone: withSlowLog(lossy, random),
    client: { queue_bytes: "500B" },
    namespaces: {
      short: {
        subscribe: "any",
        retention: { messages: RETAINED },
        redelivery: { max_attempts: 1000, backoff: "100ms..1s" },
      },
    },
  });
  const readers = Array.from({ length: READERS }, (_, i) => new Reader(gateway, i === 0));
  let published = 0;
  for (const one of steps) {
    if (one.do === "publish") {
      for (let i = 0; i < one.count; i++) await gateway.publish(CHANNEL, ++published);
    } else if (one.do === "turn") {
      for (let i = 0; i < one.microtasks; i++) await Promise.resolve();
    } else if (one.do === "wait") {
      await clock.advance(one.ms);
    } else {
      await act(readers[one.reader], one.do);
    }
  }
  // The faults end: everybody reads, and within a beacon's interval has everything.
  await gateway.publish(CHANNEL, ++published);
  for (const one of readers) {
    await one.begin();
    one.release();
  }
  await clock.advance(3000);
  for (const one of readers) {
    one.read();
    assert.equal(one.owed, undefined, "what could not be handled comes again");
  }
  for (let i = 0; i < 40; i++) {
    await clock.advance(2000);
    readers[0]?.acknowledge();
  }
  await settle();
  for (const one of readers) {
    one.read();
    assert.equal(one.position?.offset, published, "everybody is at the head");
  }
  await gateway.stop();
}

async function act(reader: Reader | undefined, what: string): Promise<void> {
  if (what === "begin") await reader?.begin();
  if (what === "end" || what === "cut") reader?.end(what === "cut");
  if (what === "hold") reader?.hold();
  if (what === "release") reader?.release();
  if (what === "ack") reader?.acknowledge();
  if (what === "nack") reader?.fail();
}

const steps = fc.array(step, { minLength: 5, maxLength: 60 });

test("R1, R5, R6 whoever reads, however slowly and often anew, receives everything in order, or is told what is gone", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), (history, seed) => run(history, seed, ["arrives"])),
    {
      numRuns: RUNS,
    },
  );
});

test("R7, R2 so it is with a bus that loses, repeats and reorders", async () => {
  const fates: readonly Fate[] = ["arrives", "arrives", "lost", "twice", "late"];
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), (history, seed) => run(history, seed, fates)),
    { numRuns: RUNS },
  );
});

test("R7 and with one that loses everything", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), (history, seed) => run(history, seed, ["lost"])),
    {
      numRuns: Math.ceil(RUNS / 3),
    },
  );
});
