import assert from "node:assert/strict";
import { test } from "node:test";
import { numbers, openGateway } from "../test-gateway.ts";

test("H1 who may read history is the namespace's to say", async (t) => {
  const gateway = await openGateway(t, {
    jwt: true,
    namespaces: {
      closed: { subscribe: "any", history: "none", retention: {} },
      members: { subscribe: "any", history: "subscribers", retention: {} },
      users: { subscribe: "any", history: "authenticated", retention: {} },
      tickets: { subscribe: "token", history: "token", retention: {} },
    },
  });
  const ann = await gateway.connectAs("ann");
  const nobody = await gateway.connectAs("");
  const denied = { code: 103, message: "permission denied" };
  for (const channel of ["closed:1", "members:1", "tickets:1"])
    assert.deepEqual(await ann.refused("history", { channel }), denied, channel);
  await ann.ask("history", { channel: "users:1" });
  assert.deepEqual(await nobody.refused("history", { channel: "users:1" }), denied);

  await ann.subscribe("members:1");
  await ann.ask("history", { channel: "members:1" });
  await ann.subscribe("tickets:1", { token: await gateway.token({ user: "ann", channel: "tickets:1" }) });
  await ann.ask("history", { channel: "tickets:1" });
  assert.deepEqual(await ann.refused("history", { channel: "tickets:2" }), denied, "the token was for another channel");
});

test("H2, H3 without a limit history is the position of the head only", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  const empty = await client.ask("history", { channel: "a" });
  assert.deepEqual(empty.publications, []);
  assert.equal(empty.offset, 0);
  await gateway.publishNumbers("a", 1, 3);
  for (const limit of [undefined, 0]) {
    const { publications, epoch, offset } = await client.ask("history", {
      channel: "a",
      ...(limit === 0 && { limit }),
    });
    assert.deepEqual(publications, []);
    assert.equal(epoch, empty.epoch, "the epoch is there before the first message, and stays");
    assert.equal(offset, 3);
  }
});

test("H3 a limit is the most, oldest first; -1 asks for as many as the server allows", async (t) => {
  const gateway = await openGateway(t, { client: { history_limit: 5 } });
  await gateway.publishNumbers("a", 1, 8);
  const client = await gateway.connect();
  const read = async (limit: number): Promise<unknown[]> =>
    (await client.ask("history", { channel: "a", limit })).publications.map(({ data }) => data);
  assert.deepEqual(await read(2), [1, 2]);
  assert.deepEqual(await read(-1), numbers(1, 5));
  assert.deepEqual(await read(1000), numbers(1, 5));
});

test("H3 one answer holds so many bytes of data, and one message at least", async (t) => {
  const gateway = await openGateway(t, { client: { queue_bytes: "1KiB" } });
  const big = "x".repeat(600);
  for (let i = 0; i < 4; i++) await gateway.publish("a", big);
  await gateway.publish("b", "x".repeat(2000));
  const client = await gateway.connect();
  const { publications, offset } = await client.ask("history", { channel: "a", limit: -1 });
  assert.ok(publications.length >= 1 && publications.length < 4, `${publications.length} messages`);
  assert.equal(offset, 4, "the position is that of the head all the same");
  assert.equal((await client.ask("history", { channel: "b", limit: -1 })).publications.length, 1);
});

test("H4 since is exclusive, forward and in reverse; the pages put together are the log", async (t) => {
  const gateway = await openGateway(t);
  await gateway.publishNumbers("a", 1, 7);
  const client = await gateway.connect();
  const { epoch } = await client.ask("history", { channel: "a" });
  const page = async (offset: number, reverse: boolean): Promise<unknown[]> => {
    const request = { channel: "a", limit: 3, since: { offset, epoch }, reverse };
    return (await client.ask("history", request)).publications.map(({ data }) => data);
  };
  assert.deepEqual([...(await page(0, false)), ...(await page(3, false)), ...(await page(6, false))], numbers(1, 7));
  assert.deepEqual(
    [...(await page(8, true)), ...(await page(5, true)), ...(await page(2, true))],
    numbers(1, 7).reverse(),
  );
  assert.deepEqual(await page(7, false), []);
  assert.deepEqual(await page(1, true), []);
  const newest = await client.ask("history", { channel: "a", limit: 2, reverse: true });
  assert.deepEqual(
    newest.publications.map(({ data }) => data),
    [7, 6],
  );
});

test("H5 a since of another epoch is answered 112, and without an epoch it is not compared", async (t) => {
  const gateway = await openGateway(t);
  await gateway.publishNumbers("a", 1, 3);
  const client = await gateway.connect();
  const error = await client.refused("history", { channel: "a", limit: 5, since: { offset: 1, epoch: "another" } });
  assert.deepEqual(error, { code: 112, message: "unrecoverable position" });
  const { publications } = await client.ask("history", { channel: "a", limit: 5, since: { offset: 1 } });
  assert.deepEqual(
    publications.map(({ data }) => data),
    [2, 3],
  );
});

test("H6 a channel without a log is answered 108", async (t) => {
  const gateway = await openGateway(t);
  const client = await gateway.connect();
  assert.deepEqual(await client.refused("history", { channel: "live:1", limit: 1 }), {
    code: 108,
    message: "not available: live:1 keeps no history",
  });
});

test("R3, R4 history shows a message as it was pushed, with the extended fields to those who understand them", async (t) => {
  const gateway = await openGateway(t);
  const [extended, plain] = [await gateway.connect(), await gateway.connect({ plain: true })];
  await Promise.all([extended.subscribe("a"), plain.subscribe("a")]);
  await plain.ask("publish", { channel: "a", data: { n: 1 }, tags: { k: "v" } });
  const pushed = await extended.next("pub");
  const [kept] = (await extended.ask("history", { channel: "a", limit: 1 })).publications;
  const { data, offset, info, tags, id, time } = pushed;
  assert.deepEqual(kept, { data, offset, info, tags, id, time });
  const [keptPlain] = (await plain.ask("history", { channel: "a", limit: 1 })).publications;
  assert.deepEqual(keptPlain, { data, offset, info, tags });
  assert.deepEqual(await plain.next("pub"), { data, offset, info, tags });
});
