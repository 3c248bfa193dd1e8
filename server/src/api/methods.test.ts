/** Every method of the HTTP API against a real server, in the shapes of the base protocol's server API. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { RunningApi } from "./running-api.ts";

describe("the methods of the HTTP API", () => {
  let api: RunningApi;
  before(async () => (api = await RunningApi.start()));
  after(() => api.close());

  const data = { text: "hi" };

  describe("publish", () => {
    test("answers the position on a channel that keeps messages, and nothing on one that does not", async () => {
      const { epoch, ...rest } = await api.result("publish", { channel: "chat:position", data });
      assert.equal(typeof epoch, "string");
      assert.deepEqual(rest, { offset: 1 });
      assert.deepEqual(await api.result("publish", { channel: "bare", data }), {});
    });

    test("reaches a subscriber, with its tags", async () => {
      const client = await api.connect("ann");
      await client.ask({ subscribe: { channel: "chat:live" } });
      await api.result("publish", { channel: "chat:live", data, tags: { a: "b" } });
      const { pub } = await client.push("pub");
      assert.deepEqual(pub, { data, offset: 1, tags: { a: "b" } });
    });

    for (const value of [null, 0, "", false, [], {}, "ünï\u2028\u{1f600}", [[["deep"]]], { __proto__: null, a: 1 }]) {
      test(`carries ${JSON.stringify(value)} unaltered`, async () => {
        await api.result("history_remove", { channel: "chat:values" });
        await api.result("publish", { channel: "chat:values", data: value });
        const { publications } = await api.result("history", { channel: "chat:values", limit: 1 });
        assert.equal(JSON.stringify(publications[0].data), JSON.stringify(value));
      });
    }

    test("takes __proto__ and constructor as names like any other", async () => {
      const text =
        '{"channel":"chat:proto","data":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}';
      const { status } = await api.send({
        path: "/api/publish",
        headers: { "x-api-key": "a-key-for-the-tests-of-the-api" },
        body: text,
      });
      assert.equal(status, 200);
      const { text: answer } = await api.call("history", { channel: "chat:proto", limit: 1 });
      assert.match(
        answer,
        /"data":\{"__proto__":\{"polluted":true\},"constructor":\{"prototype":\{"polluted":true\}\}\}/,
      );
      assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    });

    test("an idempotency key in the body stores once, and says so", async () => {
      const keyed = { channel: "chat:key", data, idempotency_key: "k1" };
      const first = await api.result("publish", keyed);
      assert.deepEqual(await api.result("publish", keyed), { ...first, duplicate: true });
      assert.equal((await api.result("history", { channel: "chat:key" })).offset, 1);
    });

    for (const header of ["Idempotency-Key", "X-Idempotency-Key"]) {
      test(`an idempotency key in the header ${header} stores once; one in the body comes first`, async () => {
        const channel = `chat:${header.toLowerCase()}`;
        const first = await api.call("publish", { channel, data }, { [header]: "k" });
        const again = await api.call("publish", { channel, data }, { [header]: "k" });
        assert.deepEqual(again.body.result, { ...first.body.result, duplicate: true });
        const other = await api.call("publish", { channel, data, idempotency_key: "other" }, { [header]: "k" });
        assert.equal(other.body.result.duplicate, undefined);
      });
    }

    test("a key that is older than the window is refused, not stored twice", async () => {
      const { body } = await api.call("publish", {
        channel: "chat:old",
        data,
        idempotency_key: "k",
        idempotency_age_ms: 600_000,
      });
      assert.equal(body.error.code, 401);
      assert.equal((await api.result("history", { channel: "chat:old" })).offset, 0);
    });

    test("a key that is too long is refused wherever it stands, and harms no other publish", async () => {
      const long = "k".repeat(129);
      const inBody = await api.call("publish", { channel: "chat:long", data, idempotency_key: long });
      assert.equal(inBody.body.error.code, 107);
      assert.match(inBody.body.error.message, /idempotency_key/);
      const inHeader = await api.call(
        "publish",
        { channel: "chat:long", data },
        { "idempotency-key": "k".repeat(5000) },
      );
      assert.equal(inHeader.status, 400);
      assert.match(inHeader.body.error.message, /Idempotency-Key/);
    });
  });

  describe("broadcast", () => {
    test("has one response per channel, in their order, each with its own outcome", async () => {
      const { responses } = await api.result("broadcast", {
        channels: ["chat:b1", "bare", "nowhere:x", "chat:b2", "not a channel"],
        data,
      });
      assert.deepEqual(
        responses.map(
          (one: Record<string, { code: number; offset: number }>) => one["result"]?.offset ?? one["error"]?.code,
        ),
        [1, undefined, 102, 1, 107],
      );
    });

    test("one key serves all its channels", async () => {
      const keyed = { channels: ["chat:k1", "chat:k2"], data, idempotency_key: "k" };
      await api.result("broadcast", keyed);
      const { responses } = await api.result("broadcast", keyed);
      assert.deepEqual(
        responses.map(({ result }: { result: { duplicate: boolean } }) => result.duplicate),
        [true, true],
      );
    });
  });

  describe("batch", () => {
    test("has its replies at the top, named after their methods, in the order of the commands", async () => {
      const { status, body } = await api.call("batch", {
        commands: [
          { publish: { channel: "chat:batch", data: 1 } },
          { publish: { channel: "chat:batch", data: 2 } },
          { history: { channel: "chat:batch", limit: 10 } },
          { publish: { channel: "nowhere:x", data } },
          { presence_stats: { channel: "chat:batch" } },
          { nonsense: {} },
        ],
      });
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(body), ["replies"]);
      const [first, second, history, failed, stats, unknown] = body.replies;
      assert.deepEqual([first.publish.offset, second.publish.offset], [1, 2]);
      assert.deepEqual(
        history.history.publications.map((one: { data: number }) => one.data),
        [1, 2],
      );
      assert.deepEqual(Object.keys(failed), ["error"]);
      assert.equal(failed.error.code, 102);
      assert.deepEqual(stats, { presence_stats: { num_clients: 0, num_users: 0 } });
      assert.equal(unknown.error.code, 104);
    });

    test("a call sees what the calls before it did", async () => {
      const client = await api.connect("bob");
      const { body } = await api.call("batch", {
        commands: [
          { subscribe: { user: "bob", channel: "chat:order" } },
          { publish: { channel: "chat:order", data } },
          { unsubscribe: { user: "bob", channel: "chat:order" } },
          { presence_stats: { channel: "chat:order" } },
        ],
      });
      assert.deepEqual(body.replies[3], { presence_stats: { num_clients: 0, num_users: 0 } });
      assert.deepEqual((await client.push("pub"))["pub"].data, data);
    });

    test("two thousand publishes are stored in their order", async () => {
      const commands = Array.from({ length: 2000 }, (_, i) => ({ publish: { channel: "chat:many", data: i } }));
      const { body } = await api.call("batch", { commands });
      assert.deepEqual(
        body.replies.map((reply: { publish: { offset: number } }) => reply.publish.offset),
        commands.map((_, i) => i + 1),
      );
      const { publications } = await api.result("history", { channel: "chat:many", limit: 100, reverse: true });
      assert.equal(publications[0].data, 1999);
    });

    test("in parallel, replies keep the order of the commands", async () => {
      const commands = ["chat:p1", "chat:p2"].map((channel) => ({ publish: { channel, data } }));
      const { body } = await api.call("batch", { parallel: true, commands: [...commands, { info: {} }] });
      assert.deepEqual(
        body.replies.map((reply: object) => Object.keys(reply)[0]),
        ["publish", "publish", "info"],
      );
    });

    for (const [name, commands, flaw] of [
      ["no commands", [], /^bad request: commands /],
      ["more than 10,000 commands", Array.from({ length: 10_001 }, () => ({ info: {} })), /^bad request: commands /],
      ["commands that are no objects", [1], /^bad request: commands\.0 /],
      ["no list", { info: {} }, /^bad request: commands must be an array/],
    ] as const) {
      test(`${name}: refused as a whole`, async () => {
        const { body } = await api.call("batch", { commands });
        assert.equal(body.error.code, 107);
        assert.match(body.error.message, flaw);
      });
    }

    for (const [name, command, flaw] of [
      ["a batch in it", { batch: { commands: [{ info: {} }] } }, /cannot hold a batch/],
      ["two methods in one command", { info: {}, channels: {} }, /one method, not 2/],
      ["an empty command", {}, /one method, not 0/],
    ] as const) {
      test(`${name}: refused, and the others run`, async () => {
        const { body } = await api.call("batch", { commands: [command, { info: {} }] });
        assert.equal(body.replies[0].error.code, 107);
        assert.match(body.replies[0].error.message, flaw);
        assert.equal(body.replies[1].info.nodes.length, 1);
      });
    }
  });

  describe("history", () => {
    before(async () => {
      for (let i = 1; i <= 5; i++) await api.result("publish", { channel: "chat:history", data: i });
    });
    const numbers = async (request: object): Promise<number[]> =>
      (await api.result("history", { channel: "chat:history", ...request })).publications.map(
        (one: { data: number }) => one.data,
      );

    test("without a limit it is the position only", async () => {
      const { publications, offset, epoch } = await api.result("history", { channel: "chat:history" });
      assert.deepEqual([publications, offset, typeof epoch], [[], 5, "string"]);
    });

    test("is limited, since a position, in reverse, and complete with -1", async () => {
      const { epoch } = await api.result("history", { channel: "chat:history" });
      assert.deepEqual(await numbers({ limit: 2 }), [1, 2]);
      assert.deepEqual(await numbers({ limit: -1 }), [1, 2, 3, 4, 5]);
      assert.deepEqual(await numbers({ limit: 2, since: { offset: 2, epoch } }), [3, 4]);
      assert.deepEqual(await numbers({ limit: 2, reverse: true }), [5, 4]);
      assert.deepEqual(await numbers({ limit: 10, reverse: true, since: { offset: 3, epoch } }), [2, 1]);
    });

    test("a position of another epoch is unrecoverable", async () => {
      const { body } = await api.call("history", {
        channel: "chat:history",
        limit: 1,
        since: { offset: 1, epoch: "x" },
      });
      assert.equal(body.error.code, 112);
    });

    test("a channel that keeps nothing has none", async () => {
      assert.equal((await api.call("history", { channel: "bare" })).body.error.code, 108);
      assert.equal((await api.call("history_remove", { channel: "bare" })).body.error.code, 108);
    });

    test("history_remove forgets the messages; epoch and offset stay", async () => {
      await api.result("publish", { channel: "chat:remove", data });
      const before = await api.result("history", { channel: "chat:remove" });
      assert.deepEqual(await api.result("history_remove", { channel: "chat:remove" }), {});
      assert.deepEqual(await api.result("history", { channel: "chat:remove", limit: 10 }), before);
    });
  });

  describe("presence and what is there", () => {
    test("presence, presence_stats and channels name who is subscribed", async () => {
      const [first, second] = [await api.connect("pia"), await api.connect("pia")];
      await first.ask({ subscribe: { channel: "chat:presence" } });
      await second.ask({ subscribe: { channel: "chat:presence" } });
      const { presence } = await api.result("presence", { channel: "chat:presence" });
      assert.deepEqual(presence, {
        [first.client]: { user: "pia", client: first.client },
        [second.client]: { user: "pia", client: second.client },
      });
      assert.deepEqual(await api.result("presence_stats", { channel: "chat:presence" }), {
        num_clients: 2,
        num_users: 1,
      });
      const { channels } = await api.result("channels", { pattern: "chat:pres*" });
      assert.deepEqual(channels, { "chat:presence": { num_clients: 2 } });
      assert.ok(Object.hasOwn((await api.result("channels", {})).channels, "chat:presence"));
      assert.deepEqual((await api.result("channels", { pattern: "chat:pres" })).channels, {});
    });

    test("a pattern of many stars is answered at once", async () => {
      const client = await api.connect("quin");
      await client.ask({ subscribe: { channel: `chat:${"a".repeat(200)}` } });
      const { channels } = await api.result("channels", { pattern: `${"*a".repeat(100)}*b` });
      assert.deepEqual(channels, {});
    });

    test("info tells about the gateway", async () => {
      const { nodes } = await api.result("info", {});
      assert.equal(nodes.length, 1);
      const { uid, name, version, uptime, ...counts } = nodes[0];
      assert.ok(uid !== "" && name !== "" && version !== "" && uptime >= 0);
      assert.deepEqual(Object.keys(counts).toSorted(), ["num_channels", "num_clients", "num_subs", "num_users"]);
    });
  });

  describe("connections", () => {
    test("subscribe and unsubscribe a user's connections, which are told", async () => {
      const client = await api.connect("sue");
      assert.deepEqual(await api.result("subscribe", { user: "sue", channel: "chat:side", data: { hello: true } }), {});
      const { subscribe } = await client.push("subscribe");
      assert.deepEqual(subscribe.data, { hello: true });
      assert.deepEqual(await api.result("unsubscribe", { user: "sue", channel: "chat:side" }), {});
      const { unsubscribe } = await client.push("unsubscribe");
      assert.equal(unsubscribe.code, 2000);
    });

    test("an empty channel unsubscribes from all", async () => {
      const client = await api.connect("tom");
      await client.ask({ subscribe: { channel: "chat:t1" } });
      await client.ask({ subscribe: { channel: "chat:t2" } });
      await api.result("unsubscribe", { user: "tom", channel: "" });
      const { body } = await api.call("channels", { pattern: "chat:t*" });
      assert.deepEqual(body.result.channels, {});
      await client.until(({ push }) => push?.channel === "chat:t2" && push.unsubscribe !== undefined);
    });

    test("disconnect closes with the code it is given, or 3503", async () => {
      const [first, second] = [await api.connect("uma"), await api.connect("vic")];
      await api.result("disconnect", { user: "uma" });
      assert.equal((await first.closed()).code, 3503);
      await api.result("disconnect", { user: "vic", disconnect: { code: 4001, reason: "later" } });
      assert.deepEqual(await second.closed(), { code: 4001, reason: "later" });
    });

    test("disconnect spares whom the whitelist names, and takes only the one that client or session names", async () => {
      const clients = [await api.connect("wes"), await api.connect("wes"), await api.connect("wes")];
      const [first, second, third] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]];
      await api.result("disconnect", { user: "wes", client: first.client });
      await first.closed();
      await api.result("disconnect", { user: "wes", whitelist: [second.client] });
      await third.closed();
      assert.ok(await second.ask({ presence_stats: { channel: "chat:w" } }));
      await api.result("disconnect", { user: "wes", session: second.client });
      await second.closed();
    });

    test("refresh moves the end, or ends as expired", async () => {
      const client = await api.connect("xan");
      await api.result("refresh", { user: "xan", expire_at: Math.floor(Date.now() / 1000) + 600 });
      const { refresh } = await client.push("refresh");
      assert.ok(refresh.expires && refresh.ttl > 590 && refresh.ttl <= 600);
      await api.result("refresh", { user: "xan", expired: true });
      assert.equal((await client.closed()).code, 3005);
    });

    test("users that are not there are no error", async () => {
      for (const method of ["subscribe", "unsubscribe", "disconnect", "refresh"]) {
        assert.deepEqual(await api.result(method, { user: "nobody", channel: "chat:x" }), {});
      }
    });
  });

  test("fields that are not known are ignored, as publishing libraries send some", async () => {
    const { offset } = await api.result("publish", { channel: "chat:extra", data, skip_history: false, delta: false });
    assert.equal(offset, 1);
  });
});
