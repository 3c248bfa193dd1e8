import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, TodokuError } from "@todoku/protocol";
import { BackboneError, type AppendOptions, type Backbone, type Message } from "../backbones/contract.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { numbers, openGateway } from "../test-gateway.ts";

test("P1 who may publish is the namespace's to say, and whoever may not is heard by nobody", async (t) => {
  const gateway = await openGateway(t, {
    jwt: true,
    namespaces: {
      closed: { subscribe: "any", publish: "none" },
      users: { subscribe: "any", publish: "authenticated" },
      members: { subscribe: "any", publish: "subscribers" },
      tickets: { subscribe: "any", publish: "token" },
    },
  });
  const [ann, nobody, reader] = [
    await gateway.connectAs("ann"),
    await gateway.connectAs(""),
    await gateway.connectAs("bob"),
  ];
  for (const channel of ["closed:1", "users:1", "members:1", "tickets:1"]) await reader.subscribe(channel);
  const denied = { code: 103, message: "permission denied" };
  const publish = (channel: string) => ({ channel, data: channel });
  for (const channel of ["closed:1", "members:1", "tickets:1"])
    assert.deepEqual(await ann.refused("publish", publish(channel)), denied, channel);
  assert.deepEqual(await nobody.refused("publish", publish("users:1")), denied);
  assert.deepEqual(await reader.refused("publish", publish("tickets:1")), denied, "subscribed, but not by a token");
  assert.deepEqual(await reader.rest(), []);

  await ann.subscribe("members:1");
  await ann.subscribe("tickets:1", { token: await gateway.token({ user: "ann", channel: "tickets:1" }) });
  for (const channel of ["users:1", "members:1", "tickets:1"]) await ann.ask("publish", publish(channel));
  assert.deepEqual(await reader.data(3), ["users:1", "members:1", "tickets:1"]);
});

test("P2 on a channel without a log the answer is empty, on one with a log it says where the message is", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  assert.deepEqual(await client.ask("publish", { channel: "live:1", data: 1 }), {});
  const { epoch } = await client.ask("history", { channel: "a" });
  assert.deepEqual(await client.ask("publish", { channel: "a", data: 1 }), { offset: 1, epoch });
  assert.deepEqual(await client.ask("publish", { channel: "a", data: 2 }), { offset: 2, epoch });
});

test("P2 no answer comes before the message is stored", async (t) => {
  const stored = Promise.withResolvers<void>();
  const { backbone, clock } = await memoryWhose((append) => async (...args) => {
    await stored.promise;
    return append(...args);
  });
  const gateway = await openGateway(t, { backbone, clock });
  const client = await gateway.connect();
  const id = client.newId;
  client.send({ id, publish: { channel: "a", data: 1 } });
  assert.deepEqual(await client.rest(), []);
  stored.resolve();
  assert.equal((await client.reply(id)).publish?.offset, 1);
});

test("P3 data of null is a message; data of the greatest size is taken, one byte more is answered 400", async (t) => {
  const gateway = await openGateway(t, { client: { message_bytes: "1KiB" } });
  const client = await gateway.connect();
  await client.subscribe("a");
  const most = "x".repeat(1024 - 2);
  const wide = "é".repeat((1024 - 2) / 2);
  for (const data of [null, most, wide]) await client.ask("publish", { channel: "a", data });
  assert.deepEqual(await client.data(3), [null, most, wide]);
  for (const data of [`${most}x`, `${wide}x`, "\u20ac".repeat(400)]) {
    const error = await client.refused("publish", { channel: "a", data });
    assert.deepEqual(error, { code: 400, message: "message too large: data may have 1024 bytes" });
  }
  assert.equal((await client.ask("history", { channel: "a" })).offset, 3, "nothing of it is stored");
  assert.deepEqual(await client.rest(), []);
});

test("P4, P5 every subscriber receives it, the publisher too, with who published", async (t) => {
  const gateway = await openGateway(t, {
    jwt: true,
    namespaces: { quiet: { subscribe: "any", publish: "any", info: false } },
  });
  const ann = await gateway.connectAs("ann", { info: { name: "Ann" } });
  const bob = await gateway.connectAs("bob");
  for (const channel of ["live:1", "a", "quiet:1"]) await bob.subscribe(channel);
  await ann.subscribe("a", { token: await gateway.token({ user: "ann", channel: "a", info: { role: "host" } }) });
  await ann.subscribe("live:1");
  const known = { user: "ann", client: ann.connected.client, conn_info: { name: "Ann" } };

  await ann.ask("publish", { channel: "a", data: 1 });
  for (const one of [ann, bob])
    assert.deepEqual((await one.next("pub", "a")).info, { ...known, chan_info: { role: "host" } });
  await ann.ask("publish", { channel: "live:1", data: 1 });
  for (const one of [ann, bob]) assert.deepEqual((await one.next("pub", "live:1")).info, known);
  await ann.ask("publish", { channel: "quiet:1", data: 1 });
  assert.equal((await bob.next("pub", "quiet:1")).info, undefined, "where the namespace hides it");
  await gateway.publish("a", 2);
  assert.equal((await bob.next("pub", "a")).info, undefined, "of the application's own");
});

test("P6 tags arrive unchanged, live and in history", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect({ plain: true });
  await client.subscribe("a");
  const tags = JSON.parse('{"":"","lang":"日本","__proto__":"x"}') as Record<string, string>;
  await client.ask("publish", { channel: "a", data: 1, tags });
  assert.deepEqual((await client.next("pub")).tags, tags);
  assert.deepEqual((await client.ask("history", { channel: "a", limit: 1 })).publications[0]?.tags, tags);
});

test("P7 a repeated key stores and delivers nothing, and is answered with the first one's position", async (t) => {
  const gateway = await openGateway(t, { namespaces: { short: { publish: "any", retention: {}, dedupe: "1m" } } });
  const [client, reader] = [await gateway.connect(), await gateway.connect()];
  await reader.subscribe("a");
  const publish = { channel: "a", data: "first", key: "order-7" };
  const first = await client.ask("publish", publish);
  await client.ask("publish", { channel: "a", data: "between" });
  const again = await reader.ask("publish", { ...publish, data: "another connection, other data" });
  assert.deepEqual(again, { ...first, duplicate: true });
  assert.deepEqual(await reader.data(2), ["first", "between"]);
  assert.deepEqual(await reader.rest(), []);
  assert.equal((await client.ask("publish", { ...publish, channel: "b" })).duplicate, undefined, "another channel");

  await client.ask("publish", { ...publish, channel: "short:1" });
  await gateway.clock.advance(61_000);
  assert.equal((await client.ask("publish", { ...publish, channel: "short:1" })).offset, 2, "after the window");
});

test("P7 of publishes with one key that come at once one is stored", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  const answers = await Promise.all(
    numbers(1, 20).map((data) => client.ask("publish", { channel: "a", data, key: "k" })),
  );
  assert.equal(answers.filter(({ duplicate }) => duplicate !== true).length, 1);
  assert.deepEqual([...new Set(answers.map(({ offset }) => offset))], [1]);
});

test("P8 a key that was first sent a whole window ago is refused, whether it is known or not", async (t) => {
  const gateway = await openGateway(t, { namespaces: { short: { publish: "any", retention: {}, dedupe: "1m" } } });
  const client = await gateway.connect();
  const publish = { channel: "short:1", data: 1, key: "k" };
  assert.equal((await client.ask("publish", { ...publish, key_age: 59_999 })).offset, 1);
  for (const key of ["k", "another"]) {
    assert.deepEqual(await client.refused("publish", { ...publish, key, key_age: 60_000 }), {
      code: 401,
      message: "retry is older than the deduplication window: the window is 60000 ms, the key is 60000 ms old",
    });
  }
  const { offset } = await client.ask("publish", { channel: "short:1", data: 2, key_age: 60_000 });
  assert.equal(offset, 2, "without a key there is no age");
});

test("P9 an error says what became of the message, and nothing of why", async (t) => {
  const failures = ["unavailable", "unknown", "full", "invalid"] as const;
  const { backbone, clock } = await memoryWhose((append) => async (channel, message, options) => {
    const reason = failures.find((one) => channel === one);
    if (reason) throw new BackboneError(reason, "redis://user:secret@cache said no");
    return append(channel, message, options);
  });
  const gateway = await openGateway(t, { backbone, clock });
  const client = await gateway.connect();
  const errors = [];
  for (const channel of failures) errors.push(await client.refused("publish", { channel, data: 1 }));
  assert.deepEqual(errors, [
    { code: 402, message: "backbone unavailable, nothing was stored", temporary: true },
    { code: 403, message: "outcome unknown, repeat with the same key", temporary: true },
    { code: 405, message: "no space left for messages, nothing was stored", temporary: true },
    { code: 100, message: "internal server error", temporary: true },
  ]);
  assert.equal((await client.ask("publish", { channel: "fine", data: 1 })).offset, 1);
});

test("P10 publishes that were awaited one after the other are stored in that order, whatever the connection", async (t) => {
  const gateway = await openGateway(t);
  const clients = [await gateway.connect(), await gateway.connect(), await gateway.connect()];
  for (const number of numbers(1, 30)) await clients[number % 3]?.ask("publish", { channel: "a", data: number });
  const { publications } = await clients[0]!.ask("history", { channel: "a", limit: -1 });
  assert.deepEqual(
    publications.map(({ data }) => data),
    numbers(1, 30),
  );
});

test("X3, X4 the hook may refuse a publish, or replace its data", async (t) => {
  const gateway = await openGateway(t, {
    hooks: {
      onPublish: ({ user }, channel, data) => {
        if (data === "rude") throw new TodokuError(ERRORS.permissionDenied, `${user} ${channel}: be kind`);
        if (data === "broken") throw new Error("a bug with a secret in it");
        if (data === "nothing") return { data: null };
        return data === "shout" ? { data: "SHOUT" } : undefined;
      },
    },
  });
  const client = await gateway.connect();
  await client.subscribe("a");
  const publish = (data: string) => ({ channel: "a", data });
  assert.deepEqual(await client.refused("publish", publish("rude")), {
    code: 103,
    message: "permission denied:  a: be kind",
  });
  assert.deepEqual(await client.refused("publish", publish("broken")), {
    code: 100,
    message: "internal server error",
    temporary: true,
  });
  for (const data of ["shout", "hello", "nothing"]) await client.ask("publish", publish(data));
  assert.deepEqual(await client.data(3), ["SHOUT", "hello", null]);
});

type Append = (
  channel: string,
  message: Message,
  options: AppendOptions,
) => Promise<{
  epoch: string;
  offset: number;
  duplicate: boolean;
}>;

/** An open backbone in memory whose `append` is the given one around its own. */
async function memoryWhose(around: (append: Append) => Append): Promise<{ backbone: Backbone; clock: ManualClock }> {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  await backbone.open();
  const { log } = backbone;
  const append = around(log.append.bind(log));
  log.append = append;
  return { backbone, clock };
}
