/** What happens around a handler: order, acknowledgement, failure, stored positions, and handlers that are too slow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate, numbers } from "../tests/gate.ts";
import { GatewayInProcess } from "../tests/gateway-in-process.ts";
import {
  ERRORS,
  memoryCursors,
  TodokuError,
  type CursorStore,
  type Gap,
  type Json,
  type Message,
  type Position,
} from "./index.ts";

test("K9 the next message is not begun before the last one's handler has resolved", async () => {
  await using gateway = await GatewayInProcess.open();
  const told: string[] = [];
  const subscription = gateway.client().subscribe("chat:1", async ({ data }) => {
    told.push(`begin ${Number(data)}`);
    await new Promise<void>((resolve) => gateway.clock.after(Number(data) * 50, resolve));
    told.push(`end ${Number(data)}`);
  });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 3, 1, 2);
  await gateway.until(() => told.length === 6);
  assert.deepEqual(told, ["begin 3", "end 3", "begin 1", "end 1", "begin 2", "end 2"]);
});

test("K10 a message is acknowledged after its handler has finished, not before", async () => {
  await using gateway = await GatewayInProcess.open();
  const gate = new Gate();
  const subscription = gateway.client().subscribe("chat:1", () => gate.opened, { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.clock.advance(5000);
  assert.deepEqual(acksOf(gateway), []);
  gate.open();
  await gateway.until(() => acksOf(gateway).length > 0);
  assert.deepEqual(acksOf(gateway), [1]);
});

test("K10 many handled messages share few acknowledgements, and none is left out", async () => {
  await using gateway = await GatewayInProcess.open();
  let handled = 0;
  const subscription = gateway.client().subscribe("chat:1", () => handled++, { durable: "phone", inFlight: 20 });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", ...numbers(1, 500));
  await gateway.until(() => acksOf(gateway).at(-1) === 500);
  assert.equal(handled, 500);
  assert.ok(acksOf(gateway).length <= 60, `${acksOf(gateway).length} acknowledgements`);
});

test("K10 an acknowledgement that the server could not store is sent again", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client({ timeoutMs: 3000 });
  const subscription = client.subscribe("chat:1", () => {}, { durable: "phone" });
  await gateway.passing(subscription.ready);
  gateway.network.line.passes = (frame, to) => to === "client" || !frame.includes('"ack":{');
  await gateway.publish("chat:1", 1);
  await gateway.until(() => acksOf(gateway).length === 1);
  gateway.network.line.passes = () => true;
  await gateway.until(() => acksOf(gateway).length === 2);
  assert.deepEqual(acksOf(gateway), [1, 1]);
});

test("K11 what a handler failed at comes again after a while, before anything behind it", async () => {
  await using gateway = await GatewayInProcess.open();
  const told: { data: Json; redelivered: boolean; at: number }[] = [];
  let failures = 2;
  const subscription = gateway.client().subscribe(
    "chat:1",
    ({ data, redelivered }) => {
      told.push({ data, redelivered, at: gateway.clock.now() });
      if (data === 2 && failures-- > 0) throw new Error("not now");
    },
    { durable: "phone" },
  );
  const errors: TodokuError[] = [];
  subscription.on("error", (error) => errors.push(error));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", ...numbers(1, 5));
  await gateway.until(() => told.length === 7);
  assert.deepEqual(
    told.map(({ data }) => data),
    [1, 2, 2, 2, 3, 4, 5],
  );
  assert.deepEqual(
    told.map(({ redelivered }) => redelivered),
    [false, false, true, true, true, true, true],
  );
  const [, first, second, third] = told.map(({ at }) => at);
  assert.ok((second ?? 0) - (first ?? 0) >= 1000);
  assert.ok((third ?? 0) - (second ?? 0) >= 2000);
  assert.deepEqual(
    errors.map(({ reason, cause }) => [reason, (cause as Error).message]),
    [
      ["handler_failed", "not now"],
      ["handler_failed", "not now"],
    ],
  );
  // They tell a message that keeps failing from several that failed once.
  assert.deepEqual(
    errors.map(({ message }) => /attempt \d+/.exec(message)?.[0]),
    ["attempt 1", "attempt 2"],
  );
});

test("K11 with acknowledgement but no durable cursor it comes again too", async () => {
  await using gateway = await GatewayInProcess.open();
  const handled: Json[] = [];
  let failed = false;
  const subscription = gateway.client().subscribe(
    "chat:1",
    ({ data }) => {
      if (data === 1 && !failed) {
        failed = true;
        throw new Error("not now");
      }
      handled.push(data);
    },
    { ack: true },
  );
  subscription.on("error", () => {});
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => handled.length === 3);
  assert.deepEqual(handled, [1, 2, 3]);
});

test("K11 a failure that is noticed after a reconnect is handled again in order", async () => {
  await using gateway = await GatewayInProcess.open();
  const gate = new Gate();
  const handled: Json[] = [];
  let first = true;
  const subscription = gateway.client().subscribe(
    "chat:1",
    async ({ data }) => {
      if (data === 1 && first) {
        first = false;
        await gate.opened;
        throw new Error("too late");
      }
      handled.push(data);
    },
    { durable: "phone" },
  );
  subscription.on("error", () => {});
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => !first);
  gateway.network.cut();
  await gateway.until(() => gateway.network.lines.length === 2 && subscription.state === "subscribed");
  await gateway.clock.advance(1000);
  gate.open();
  await gateway.until(() => handled.length === 3);
  assert.deepEqual(handled, [1, 2, 3]);
});

test("K11 after too many failures a message is a gap where the namespace has dead letters", async () => {
  await using gateway = await GatewayInProcess.open();
  const seen: (Json | Gap)[] = [];
  const subscription = gateway.client().subscribe(
    "orders:1",
    ({ data }) => {
      if (data === 2) throw new Error("never");
      seen.push(data);
    },
    { durable: "phone" },
  );
  subscription.on("error", () => {});
  subscription.on("gap", (gap) => seen.push(gap));
  await gateway.passing(subscription.ready);
  await gateway.publish("orders:1", 1, 2, 3);
  await gateway.until(() => seen.length === 3);
  const [one, gap, three] = seen;
  assert.deepEqual([one, three], [1, 3]);
  assert.deepEqual(gap, { channel: "orders:1", from: 2, to: 2, reason: "failed", epoch: subscription.position?.epoch });
});

test("K11 without dead letters the subscription ends instead, before the message", async () => {
  await using gateway = await GatewayInProcess.open();
  let attempts = 0;
  const subscription = gateway.client().subscribe(
    "chat:1",
    ({ data }) => {
      if (data !== 2) return;
      attempts++;
      throw new Error("never");
    },
    { durable: "phone" },
  );
  const reasons: string[] = [];
  subscription.on("error", ({ reason }) => reasons.push(reason));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => subscription.state === "closed");
  assert.equal(attempts, 5);
  assert.equal(reasons.at(-1), "max_attempts");
  assert.equal(subscription.position?.offset, 1);
});

test("K20 without acknowledgement a failing handler is tried again here, later and later", async () => {
  await using gateway = await GatewayInProcess.open();
  const told: [Json, boolean, number][] = [];
  let failures = 3;
  const subscription = gateway.client().subscribe("chat:1", ({ data, redelivered }) => {
    told.push([data, redelivered, gateway.clock.now()]);
    if (data === 1 && failures-- > 0) throw new Error("not now");
  });
  subscription.on("error", () => {});
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.until(() => told.length === 5);
  assert.deepEqual(
    told.map(([data, redelivered]) => [data, redelivered]),
    [
      [1, false],
      [1, true],
      [1, true],
      [1, true],
      [2, false],
    ],
  );
  const times = told.map(([, , at]) => at);
  const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  assert.deepEqual(waits, [200, 400, 800, 0]);
});

test("K20 after maxAttempts the subscription ends with the handler's error, before the message", async () => {
  await using gateway = await GatewayInProcess.open();
  let attempts = 0;
  const subscription = gateway.client().subscribe(
    "chat:1",
    async ({ data }) => {
      if (data !== 2) return;
      attempts++;
      throw new Error("never");
    },
    { maxAttempts: 3 },
  );
  const errors: TodokuError[] = [];
  subscription.on("error", (error) => errors.push(error));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => subscription.state === "closed");
  assert.equal(attempts, 3);
  assert.equal(subscription.position?.offset, 1);
  assert.equal(errors.at(-1)?.reason, "handler_failed");
  assert.equal((errors.at(-1)?.cause as Error | undefined)?.message, "never");
  // The server was told: it sends nothing more.
  await gateway.until(() => gateway.network.commands.some(({ unsubscribe }) => unsubscribe));
});

test("on a channel that keeps no log a failure is told and the next message follows", async () => {
  await using gateway = await GatewayInProcess.open();
  const told: Json[] = [];
  const errors: string[] = [];
  const subscription = gateway.client().subscribe("ticker:1", ({ data }) => {
    told.push(data);
    if (data === 1) throw new Error("lost");
  });
  subscription.on("error", ({ reason }) => errors.push(reason));
  await gateway.passing(subscription.ready);
  await gateway.publish("ticker:1", 1, 2);
  await gateway.until(() => told.length === 2);
  assert.deepEqual(told, [1, 2]);
  assert.deepEqual(errors, ["handler_failed"]);
  assert.equal(subscription.position, undefined);
});

test("K19 with a cursor store each message is handled once, across a restart of the client", async () => {
  await using gateway = await GatewayInProcess.open();
  const cursors = memoryCursors();
  const handled: Json[] = [];
  for (const [from, to] of [
    [1, 3],
    [4, 6],
    [7, 9],
  ] as const) {
    const client = gateway.client({ cursors });
    const subscription = client.subscribe("chat:1", ({ data }) => handled.push(data));
    if (from === 1) await gateway.passing(subscription.ready);
    await gateway.publish("chat:1", ...numbers(from, to));
    await gateway.until(() => handled.length >= to);
    assert.equal((await cursors.get("chat:1"))?.offset, to);
    // The end of a process: nothing is flushed.
    gateway.network.cut();
    await gateway.passing(client.close());
  }
  assert.deepEqual(handled, numbers(1, 9));
});

test("K19 a durable subscription with a cursor store drops what was handled but not acknowledged before a restart", async () => {
  await using gateway = await GatewayInProcess.open();
  gateway.network.passes = (frame) => !frame.includes('"ack":{');
  const cursors = memoryCursors();
  const handled: Json[] = [];
  const first = gateway.client({ cursors });
  const subscription = first.subscribe("chat:1", ({ data }) => handled.push(data), { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  await gateway.until(() => handled.length === 3);
  gateway.network.cut();
  await gateway.passing(first.close());
  gateway.network.passes = () => true;
  await gateway.publish("chat:1", 4);
  gateway.client({ cursors }).subscribe("chat:1", ({ data }) => handled.push(data), { durable: "phone" });
  await gateway.until(() => handled.length >= 4);
  await gateway.until(() => acksOf(gateway).at(-1) === 4);
  assert.deepEqual(handled, [1, 2, 3, 4]);
});

test("K19 the position of a message that was being handled at the close is stored", async () => {
  await using gateway = await GatewayInProcess.open();
  const gate = new Gate();
  const cursors = memoryCursors();
  let begun = 0;
  const subscription = gateway.client({ cursors }).subscribe("chat:1", () => {
    begun++;
    return gate.opened;
  });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.until(() => begun === 1);
  const closing = subscription.close();
  gate.open();
  await gateway.passing(closing);
  assert.equal(begun, 1);
  assert.equal((await cursors.get("chat:1"))?.offset, 1);
});

test("K19 the next message waits until the position of the last one is stored", async () => {
  await using gateway = await GatewayInProcess.open();
  const gate = new Gate();
  const told: string[] = [];
  const cursors: CursorStore = {
    get: () => undefined,
    set: async (_key, { offset }) => {
      await gate.opened;
      told.push(`stored ${offset}`);
    },
    delete: () => {},
  };
  const subscription = gateway
    .client({ cursors })
    .subscribe("chat:1", ({ data }) => told.push(`handled ${Number(data)}`));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.clock.advance(1000);
  assert.deepEqual(told, ["handled 1"]);
  gate.open();
  await gateway.until(() => told.length === 4);
  assert.deepEqual(told, ["handled 1", "stored 1", "handled 2", "stored 2"]);
});

test("K19 a store that fails is tried again; for good it ends the subscription, because it could not promise once", async () => {
  await using gateway = await GatewayInProcess.open();
  let failures = 2;
  const stored: number[] = [];
  const cursors: CursorStore = {
    get: () => undefined,
    set: (_key, { offset }: Position) => {
      if (failures-- > 0) throw new Error("disk full");
      stored.push(offset);
    },
    delete: () => {},
  };
  const handled: Json[] = [];
  const reasons: string[] = [];
  const subscription = gateway.client({ cursors }).subscribe("chat:1", ({ data }) => handled.push(data));
  subscription.on("error", ({ reason }) => reasons.push(reason));
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.until(() => stored.length === 1);
  assert.deepEqual([handled, reasons], [[1], ["cursor_store_failed", "cursor_store_failed"]]);
  failures = Number.POSITIVE_INFINITY;
  await gateway.publish("chat:1", 2, 3);
  await gateway.until(() => subscription.state === "closed");
  assert.deepEqual(handled, [1, 2]);
});

test("K28 a handler or a store that was taken over ends the subscription, and no attempt of its message counts", async () => {
  for (const fails of ["handler", "store"]) {
    await using gateway = await GatewayInProcess.open();
    const taken = (): never => {
      throw new TodokuError(ERRORS.takenOver, "ledger of chat:1");
    };
    const cursors: CursorStore = { ...memoryCursors(), ...(fails === "store" && { set: taken }) };
    const handler = fails === "handler" ? taken : () => {};
    const older = gateway.client({ cursors }).subscribe("chat:1", handler, { durable: "phone" });
    const errors: TodokuError[] = [];
    older.on("error", (error) => errors.push(error));
    await gateway.passing(older.ready);
    await gateway.publish("chat:1", 1);
    await gateway.until(() => older.state === "closed");
    assert.deepEqual(
      errors.map(({ code }) => code),
      [404],
      fails,
    );
    assert.deepEqual(
      gateway.network.commands.filter((command) => "nack" in command),
      [],
    );
  }
});

test("K19 a store that cannot be read is asked again before the first subscribe, and then ends the subscription", async () => {
  await using gateway = await GatewayInProcess.open();
  let asked = 0;
  const cursors: CursorStore = {
    get: () => {
      asked++;
      throw new Error("no such disk");
    },
    set: () => {},
    delete: () => {},
  };
  const subscription = gateway.client({ cursors }).subscribe("chat:1", () => {});
  subscription.on("error", () => {});
  await assert.rejects(gateway.passing(subscription.ready), { reason: "cursor_store_failed" });
  assert.equal(asked, 5);
  assert.ok(!gateway.network.commands.some(({ subscribe }) => subscribe));
});

test("a handler that is too slow holds the channel back, and then receives everything", async () => {
  await using gateway = await GatewayInProcess.open();
  const gate = new Gate();
  const handled: Json[] = [];
  const subscription = gateway.client().subscribe("chat:1", async ({ data }) => {
    await gate.opened;
    handled.push(data);
  });
  await gateway.passing(subscription.ready);
  for (let i = 0; i < 50; i++) {
    await gateway.publish("chat:1", ...numbers(i * 100 + 1, i * 100 + 100));
    await gateway.clock.advance(20);
  }
  const arrived = gateway.network.line.received.join("\n").split('"pub":').length - 1;
  assert.ok(arrived < 2000, `${arrived} messages arrived while the first was being handled`);
  assert.equal(subscription.state, "subscribed");
  gate.open();
  await gateway.until(() => handled.length >= 5000);
  assert.deepEqual(handled, numbers(1, 5000));
});

test("a handler that is too slow for a channel without a log loses the oldest, and is told how many", async () => {
  await using gateway = await GatewayInProcess.open();
  const gate = new Gate();
  const handled: Json[] = [];
  const gaps: Gap[] = [];
  const subscription = gateway.client().subscribe("ticker:1", async ({ data }) => {
    await gate.opened;
    handled.push(data);
  });
  subscription.on("gap", (gap) => gaps.push(gap));
  await gateway.passing(subscription.ready);
  for (let i = 0; i < 15; i++) {
    await gateway.publish("ticker:1", ...numbers(i * 100 + 1, i * 100 + 100));
    await gateway.clock.advance(20);
  }
  gate.open();
  await gateway.until(() => handled.at(-1) === 1500);
  const [gap] = gaps;
  assert.equal(gaps.length, 1);
  assert.deepEqual(gap, { channel: "ticker:1", from: 0, to: 1500 - handled.length, reason: "dropped" });
  assert.deepEqual(handled, [1, ...numbers(1500 - handled.length + 2, 1500)]);
});

test("an iteration handles a message when it asks for the next one, and leaving it closes the subscription", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const subscription = client.subscribe("chat:1", { durable: "phone" });
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2, 3);
  const seen: Json[] = [];
  const loop = async (): Promise<void> => {
    for await (const { data, offset } of subscription) {
      assert.equal(subscription.position?.offset, Number(offset) - 1);
      seen.push(data);
      if (data === 2) break;
    }
  };
  await gateway.passing(loop());
  assert.deepEqual(seen, [1, 2]);
  assert.equal(subscription.state, "closed");
  assert.equal(subscription.position?.offset, 1);
  const next: Json[] = [];
  client.subscribe("chat:1", ({ data }) => next.push(data), { durable: "phone" });
  await gateway.until(() => next.length === 2);
  assert.deepEqual(next, [2, 3]);
});

test("an iteration ends with the subscription: quietly when it is closed, with the error when it is refused", async (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const read = async (messages: AsyncIterable<Message>): Promise<Json[]> => {
    const seen: Json[] = [];
    for await (const { data } of messages) seen.push(data);
    return seen;
  };
  const subscription = client.subscribe("chat:1");
  const reading = read(subscription);
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1);
  await gateway.clock.advance(100);
  await gateway.passing(subscription.close());
  assert.deepEqual(await gateway.passing(reading), [1]);
  await assert.rejects(gateway.passing(read(client.subscribe("closed:1"))), { code: 103 });
  assert.equal(warn.mock.callCount(), 0);
});

test("closing from elsewhere waits for the loop to be done with its message", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const gate = new Gate();
  const subscription = client.subscribe("chat:1", { durable: "phone" });
  const seen: Json[] = [];
  const loop = async (): Promise<void> => {
    for await (const { data } of subscription) {
      seen.push(data);
      await gate.opened;
    }
    seen.push("end");
  };
  const looping = loop();
  await gateway.passing(subscription.ready);
  await gateway.publish("chat:1", 1, 2);
  await gateway.until(() => seen.length === 1);
  const closing = subscription.close();
  await gateway.clock.advance(1000);
  gate.open();
  await gateway.passing(Promise.all([looping, closing]));
  assert.deepEqual(seen, [1, "end"]);
  assert.equal(subscription.position?.offset, 1);
});

test("a subscription with a handler cannot be iterated, and one without only once", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const handled = client.subscribe("chat:1", () => {});
  assert.throws(() => handled[Symbol.asyncIterator](), { code: 107, message: /has a handler/ });
  const iterated = client.subscribe("chat:2");
  iterated[Symbol.asyncIterator]();
  assert.throws(() => iterated[Symbol.asyncIterator](), { code: 107, message: /iterated already/ });
});

/** The offsets that were acknowledged, in the order of sending. */
function acksOf(gateway: GatewayInProcess): readonly unknown[] {
  return gateway.network.commands.flatMap(({ ack }) => (ack ? [ack["offset"]] : []));
}
