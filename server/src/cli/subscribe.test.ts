import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EXIT } from "./command.ts";
import { Folder, type Ended, type Started } from "./program.ts";

const CONFIG = `
http: { port: 0 }
drain: 0s
auth: { jwt: { hmac: 0123456789abcdef0123 }, api_keys: [{ id: me, key: 0123456789abcdef }] }
backbones: { disk: { type: embedded } }
namespaces:
  chat: { backbone: disk, delivery: at-least-once, retention: { messages: 5 } }
  pay: { backbone: disk, delivery: exactly-once, subscribe: token }
  ticker: { backbone: disk }
`;

const rows = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** A folder with a configuration, and its server. */
class Served {
  readonly folder: Folder = new Folder();
  server: Started | undefined;
  url = "";

  async start(port = "0"): Promise<void> {
    this.folder.write("todoku.yaml", CONFIG);
    this.server = this.folder.start(["serve", "--port", port]);
    [, this.url = ""] = /serving (\S+)/.exec(await this.server.printed(/serving \S+\n/)) ?? [];
  }

  async stop(): Promise<void> {
    this.server?.child.kill("SIGTERM");
    await this.server?.ended;
  }

  /** What finds the server by todoku.yaml, whose port is not its own here. */
  get env(): Record<string, string> {
    return { TODOKU_HTTP_PORT: new URL(this.url).port };
  }

  call(...args: string[]): Promise<Ended> {
    return this.folder.call(args, { env: this.env });
  }

  subscribe(...args: string[]): Started {
    return this.folder.start(["subscribe", ...args], this.env);
  }
}

describe("todoku subscribe", () => {
  const served = new Served();
  before(() => served.start());
  after(async () => {
    await served.stop();
    served.folder[Symbol.dispose]();
  });

  test("prints what is published from now on, of all channels, and ends at the limit", async () => {
    await served.call("publish", "chat:a", "0");
    const subscriber = served.subscribe("chat:a", "ticker:a", "--limit", "3");
    await subscriber.printed("subscribed to chat:a", "error");
    await subscriber.printed("subscribed to ticker:a", "error");
    await served.call("publish", "chat:a", '{"n":1}', "--tag", "k=v");
    await served.call("publish", "ticker:a", "2");
    await served.call("publish", "chat:a", "3");
    const { code, out } = await subscriber.ended;
    assert.equal(code, EXIT.ok);
    const [first, ...others] = rows(out);
    assert.deepEqual(Object.keys(first ?? {}), ["channel", "offset", "epoch", "id", "time", "data", "tags"]);
    assert.deepEqual([first?.["channel"], first?.["offset"], first?.["data"]], ["chat:a", 2, { n: 1 }]);
    assert.deepEqual(
      others.map(({ data }) => data),
      [2, 3],
    );
  });

  test("begins with the earliest message, or after a position; what is not kept any more is a gap", async () => {
    const stored = rows(
      (await served.folder.call(["publish", "chat:b", "-"], { env: served.env, input: "1\n2\n3\n4\n5\n6\n7\n" })).out,
    );
    const earliest = await served.call("subscribe", "chat:b", "--start", "earliest", "--limit", "5");
    assert.deepEqual(
      rows(earliest.out).map(({ data }) => data),
      [3, 4, 5, 6, 7],
    );
    const epoch = String(stored[0]?.["epoch"]);
    const after = await served.call("subscribe", "chat:b", "--start", `${epoch}:5`, "--limit", "2");
    assert.deepEqual(
      rows(after.out).map(({ data }) => data),
      [6, 7],
    );
    const gone = await served.call("subscribe", "chat:b", "--start", `${epoch}:0`, "--limit", "5");
    assert.deepEqual(
      rows(gone.out).map(({ data }) => data),
      [3, 4, 5, 6, 7],
    );
    assert.match(gone.error, /gap in chat:b: messages 1 to 2 are not kept any more/);
  });

  test("a durable subscription goes on where it stopped, whether a limit or Ctrl-C ended it", async () => {
    const durable = ["chat:c", "--durable", "desk"];
    const first = served.subscribe(...durable);
    await first.printed("subscribed", "error");
    await served.call("publish", "chat:c", "1");
    await first.printed('"data":1');
    first.child.kill("SIGINT");
    assert.equal((await first.ended).code, EXIT.ok);
    await served.folder.call(["publish", "chat:c", "-"], { env: served.env, input: "2\n3\n4\n" });
    const second = await served.call("subscribe", ...durable, "--limit", "1");
    assert.deepEqual(
      rows(second.out).map(({ data }) => data),
      [2],
    );
    const third = await served.call("subscribe", ...durable, "--limit", "2");
    assert.deepEqual(
      rows(third.out).map(({ data }) => data),
      [3, 4],
    );
    const another = served.call(
      "subscribe",
      ...durable,
      "--user",
      "somebody-else",
      "--start",
      "earliest",
      "--limit",
      "1",
    );
    assert.deepEqual(
      rows((await another).out).map(({ data }) => data),
      [1],
    );
  });

  test("a newer subscription of the same durable name ends the older one, which says so", async () => {
    const older = served.subscribe("chat:d", "--durable", "desk");
    await older.printed("subscribed", "error");
    const newer = served.subscribe("chat:d", "--durable", "desk");
    await newer.printed("subscribed", "error");
    const { code, error } = await older.ended;
    assert.equal(code, EXIT.failed);
    assert.match(error, /chat:d: .*taken over/);
    newer.child.kill("SIGTERM");
    assert.equal((await newer.ended).code, EXIT.ok);
  });

  test("tokens: of todoku.yaml's own secret, given by option or environment, and refused", async () => {
    await served.call("publish", "pay:1", "1");
    const read = ["subscribe", "pay:1", "--start", "earliest", "--limit", "1"];
    assert.equal(rows((await served.call(...read)).out).length, 1, "signed with the secret of todoku.yaml");
    const token = (await served.call("token", "--user", "ada")).out.trim();
    const ticket = (await served.call("token", "--user", "ada", "--channel", "pay:1")).out.trim();
    const elsewhere = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
      served.folder.call([...read, "--url", served.url, ...args], { env });
    const both = await elsewhere(["--channel-token", ticket], { TODOKU_TOKEN: token });
    assert.equal(rows(both.out).length, 1, both.error);
    for (const [args, env, reason] of [
      [[], {}, /unauthorized|invalid token|permission denied/],
      [["--token", "nonsense"], {}, /invalid token/],
      [[], { TODOKU_TOKEN: token }, /pay:1: permission denied/],
    ] as const) {
      const refused = await elsewhere(args, env);
      assert.equal(refused.code, EXIT.failed);
      assert.match(refused.error, reason);
      assert.match(refused.error, /--token, \$TODOKU_TOKEN or --channel-token/);
      assert.ok(!refused.error.includes(token));
    }
  });

  test("an unknown channel and words that are no channels", async () => {
    const unknown = await served.call("subscribe", "nowhere:1");
    assert.equal(unknown.code, EXIT.failed);
    assert.match(unknown.error, /nowhere:1: unknown channel/);
    for (const [args, pattern] of [
      [[], /the channel is missing/],
      [["a b"], /channel "a b" has a character/],
      [["chat:1", "--start", "then"], /--start takes new, earliest or EPOCH:OFFSET, not "then"/],
      [["chat:1", "chat:2", "--start", "e:1"], /is for one channel/],
      [["chat:1", "--limit", "none"], /--limit takes a number/],
      [["chat:1", "--channel-token", "x"], /--channel-token takes a subscription token/],
    ] as const) {
      const wrong = await served.call("subscribe", ...args);
      assert.equal(wrong.code, EXIT.usage, wrong.error);
      assert.match(wrong.error, pattern);
    }
  });

  test("a reader that has seen enough is no error", async () => {
    await served.folder.call(["publish", "chat:e", "-"], { env: served.env, input: "1\n2\n3\n" });
    const subscriber = served.subscribe("chat:e", "--start", "earliest");
    await subscriber.printed('"data":3');
    subscriber.child.stdout.destroy();
    await served.folder.call(["publish", "chat:e", "4"], { env: served.env });
    const { code } = await subscriber.ended;
    assert.equal(code, EXIT.ok);
  });
});

test("subscribe comes back after the server did, and misses nothing", async () => {
  const served = new Served();
  using folder = served.folder;
  await served.start();
  const { port } = new URL(served.url);
  const subscriber = served.subscribe("chat:a", "--limit", "2");
  await subscriber.printed("subscribed", "error");
  await served.call("publish", "chat:a", "1");
  await subscriber.printed('"data":1');
  await served.stop();
  await subscriber.printed("connection lost", "error");
  await served.start(port);
  await served.call("publish", "chat:a", "2");
  const { code, out, error } = await subscriber.ended;
  assert.equal(code, EXIT.ok, error);
  assert.deepEqual(
    rows(out).map(({ data }) => data),
    [1, 2],
  );
  assert.match(error, /connected again/);
  await served.stop();
  const gone = await folder.call(["subscribe", "chat:a"], { env: served.env });
  assert.equal(gone.code, EXIT.unavailable);
  assert.match(gone.error, /cannot reach http:\/\/localhost:\d+ \(ECONNREFUSED\)\. Is it running\?/);
});
