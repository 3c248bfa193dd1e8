/** The promises of the platform, end to end: the real program on the embedded log, the real SDK, real connections. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { fileCursors } from "@todoku/client/file";
import {
  memoryCursors,
  Todoku,
  TodokuError,
  type Gap,
  type Message,
  type SubscribeOptions,
  type Subscription,
  type TodokuOptions,
} from "@todoku/client";
import { DatabaseSync } from "node:sqlite";
import type { ConfigInput } from "../server/src/config.ts";
import { FaultyProxy } from "./faulty-proxy.ts";
import { Program } from "./program.ts";
import { RawClient } from "./raw-client.ts";
import { ServerProcess } from "./server-process.ts";

const open = { backbone: "local", subscribe: "any", publish: "any", history: "any" } as const;
const quickly = { max_attempts: 3, backoff: "10ms..50ms" } as const;

const CONFIG: ConfigInput = {
  auth: { insecure: true },
  client: { rate: { publish: "off", commands: "off", subscribe: "off", user: "off" } },
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: {
    ticker: { ...open, delivery: "at-most-once" },
    chat: { ...open, delivery: "at-least-once", redelivery: quickly },
    short: { ...open, delivery: "at-least-once", retention: { messages: 3 } },
    orders: { ...open, delivery: "exactly-once", redelivery: { ...quickly, dead_letters: "dead:orders" } },
    dead: { ...open, delivery: "at-least-once" },
  },
};

type Numbers = Record<string, number>;

let server: ServerProcess;
before(async () => (server = await ServerProcess.start(CONFIG)));
after(() => server[Symbol.asyncDispose]());

function connect(t: TestContext, options: TodokuOptions = {}, url = server.url): Todoku<Numbers> {
  const client = new Todoku<Numbers>(url, { backoff: { firstMs: 20, lastMs: 200 }, ...options });
  client.on("error", () => {});
  // Not `close`: that would wait for the handlers that never come to an end.
  t.after(() => client.disconnect());
  return client;
}

/** A subscription whose handler notes what it was given, and waits for so much. */
class Inbox {
  readonly subscription: Subscription<number>;
  readonly messages: Message<number>[] = [];
  readonly gaps: Gap[] = [];
  #wake: (() => void)[] = [];

  constructor(
    client: Todoku<Numbers>,
    channel: string,
    options: SubscribeOptions = {},
    handle: (message: Message<number>) => unknown = () => {},
  ) {
    this.subscription = client.subscribe(
      channel,
      async (message) => {
        this.messages.push(message);
        this.#look();
        await handle(message);
      },
      options,
    );
    this.subscription.on("gap", (gap) => {
      this.gaps.push(gap);
      this.#look();
    });
    this.subscription.on("error", () => {});
  }

  get data(): number[] {
    return this.messages.map(({ data }) => data);
  }

  /** Resolves when the server has answered the next subscribe. */
  subscribed(): Promise<void> {
    return new Promise((resolve) => {
      const off = this.subscription.on("state", (state) => {
        if (state !== "subscribed") return;
        off();
        resolve();
      });
    });
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  async has(count: number): Promise<number[]> {
    await this.until(() => this.messages.length >= count);
    return this.data;
  }

  #look(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

async function publishAll(client: Todoku<Numbers>, channel: string, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await client.publish(channel, n);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

async function stored(client: Todoku<Numbers>, channel: string): Promise<number[]> {
  const { messages } = await client.history(channel);
  return messages.map(({ data }) => data);
}

describe("at-most-once", { timeout: 180_000 }, () => {
  test("while connected every message comes once, in order", async (t) => {
    const inbox = new Inbox(connect(t), "ticker:1");
    await inbox.subscription.ready;
    await publishAll(connect(t), "ticker:1", 1, 200);
    assert.deepEqual(await inbox.has(200), range(1, 200));
  });

  test("what is published while the client is away is lost, and only that", async (t) => {
    const [client, publisher] = [connect(t), connect(t)];
    const inbox = new Inbox(client, "ticker:2");
    await inbox.subscription.ready;
    await publisher.publish("ticker:2", 1);
    await inbox.has(1);
    client.disconnect();
    await publisher.publish("ticker:2", 2);
    const back = inbox.subscribed();
    await client.connect();
    await back;
    await publisher.publish("ticker:2", 3);
    assert.deepEqual(await inbox.has(2), [1, 3]);
  });

  test("nothing is kept: there is no history, and no durable subscription", async (t) => {
    const client = connect(t);
    await assert.rejects(client.history("ticker:3"), { code: 108 });
    const { subscription } = new Inbox(client, "ticker:3", { durable: "phone" });
    await assert.rejects(subscription.ready, { code: 108 });
  });
});

describe("at-least-once", { timeout: 180_000 }, () => {
  test("an acknowledged publish survives the kill of the server, and its subscriber gets it", async (t) => {
    await using own = await ServerProcess.start(CONFIG);
    const client = connect(t, {}, own.url);
    const inbox = new Inbox(client, "chat:1");
    await inbox.subscription.ready;
    for (let n = 1; n <= 5; n++) {
      const { offset } = await client.publish("chat:1", n);
      assert.equal(offset, n);
      await own.kill();
      await own.restart();
    }
    assert.deepEqual(await stored(client, "chat:1"), range(1, 5));
    await inbox.until(() => new Set(inbox.data).size === 5);
    assert.deepEqual([...new Set(inbox.data)], range(1, 5));
  });

  test("every stored message comes in order, however often the connection is cut", async (t) => {
    await using proxy = await FaultyProxy.start(server.port);
    const publisher = connect(t);
    const inbox = new Inbox(connect(t, {}, proxy.url), "chat:2");
    await inbox.subscription.ready;
    for (let n = 1; n <= 100; n++) {
      await publisher.publish("chat:2", n);
      if (n % 10 === 0) proxy.cut();
    }
    assert.deepEqual(await inbox.has(100), range(1, 100));
    assert.deepEqual(inbox.gaps, []);
  });

  test("a subscription starts at new, earliest, or a position", async (t) => {
    const publisher = connect(t);
    await publishAll(publisher, "chat:3", 1, 3);
    const { position } = await publisher.history("chat:3", { limit: 0 });
    const begin = async (start: SubscribeOptions["start"]): Promise<Inbox> => {
      const inbox = new Inbox(connect(t), "chat:3", start === undefined ? {} : { start });
      await inbox.subscription.ready;
      return inbox;
    };
    const standard = await begin(undefined);
    const fresh = await begin("new");
    const earliest = await begin("earliest");
    const second = await begin({ ...position, offset: 1 });
    await publisher.publish("chat:3", 4);
    assert.deepEqual(await standard.has(1), [4]);
    assert.deepEqual(await fresh.has(1), [4]);
    assert.deepEqual(await earliest.has(4), [1, 2, 3, 4]);
    assert.deepEqual(await second.has(3), [2, 3, 4]);
  });

  test("a durable subscription goes on where it was acknowledged, on whatever device", async (t) => {
    const publisher = connect(t);
    const first = connect(t);
    const before = new Inbox(first, "chat:4", { durable: "phone" });
    await before.subscription.ready;
    await publishAll(publisher, "chat:4", 1, 3);
    await before.has(3);
    await first.close();
    await publishAll(publisher, "chat:4", 4, 6);

    const later = new Inbox(connect(t), "chat:4", { durable: "phone" });
    assert.deepEqual(await later.has(3), [4, 5, 6]);
    assert.ok(later.messages.every(({ redelivered }) => !redelivered));
  });

  test("what a crashed device had not acknowledged comes again, and says so", async (t) => {
    const publisher = connect(t);
    const first = connect(t);
    // Its handler never comes to an end.
    const before = new Inbox(first, "chat:5", { durable: "phone" }, ({ data }) => data === 2 && new Promise(() => {}));
    await before.subscription.ready;
    await publishAll(publisher, "chat:5", 1, 3);
    await before.has(2);
    first.disconnect();

    const later = new Inbox(connect(t), "chat:5", { durable: "phone" });
    await later.until(() => later.data.includes(3));
    assert.deepEqual(later.data.slice(-2), [2, 3]);
    assert.ok(later.messages.every(({ redelivered }) => redelivered));
  });

  test("a message whose handler throws comes again, and is acknowledged when it succeeds", async (t) => {
    const publisher = connect(t);
    let failures = 2;
    const inbox = new Inbox(connect(t), "chat:6", { durable: "phone" }, ({ data }) => {
      if (data === 2 && failures-- > 0) throw new Error("not this time");
    });
    await inbox.subscription.ready;
    await publishAll(publisher, "chat:6", 1, 3);
    assert.deepEqual(await inbox.has(5), [1, 2, 2, 2, 3]);
    assert.deepEqual(
      inbox.messages.filter(({ data }) => data === 2).map(({ redelivered }) => redelivered),
      [false, true, true],
    );
  });

  test("a message that always fails stops the subscription, and is not skipped", async (t) => {
    const publisher = connect(t);
    const inbox = new Inbox(connect(t), "chat:7", { durable: "phone" }, ({ data }) => {
      if (data === 2) throw new Error("never");
    });
    await inbox.subscription.ready;
    const stopped = new Promise<TodokuError>((resolve) =>
      inbox.subscription.on("error", (error) => {
        if (inbox.subscription.state === "closed") resolve(error);
      }),
    );
    await publishAll(publisher, "chat:7", 1, 3);
    assert.equal((await stopped).code, 2002);
    assert.deepEqual(inbox.data, [1, 2, 2, 2]);
  });

  test("of two clients with one durable name the newer takes over, and the older is told", async (t) => {
    const older = new Inbox(connect(t), "chat:8", { durable: "phone" });
    await older.subscription.ready;
    const told = new Promise<TodokuError>((resolve) => older.subscription.on("error", resolve));
    const newer = new Inbox(connect(t), "chat:8", { durable: "phone" });
    await newer.subscription.ready;
    assert.equal((await told).code, 2001);
    await connect(t).publish("chat:8", 1);
    assert.deepEqual(await newer.has(1), [1]);
    assert.deepEqual(older.data, []);
  });

  test("what retention has removed is told as a gap, in its place", async (t) => {
    const publisher = connect(t);
    const client = connect(t);
    const inbox = new Inbox(client, "short:1");
    await inbox.subscription.ready;
    await publisher.publish("short:1", 1);
    await inbox.has(1);
    client.disconnect();
    await publishAll(publisher, "short:1", 2, 8);
    await client.connect();
    assert.deepEqual(await inbox.has(4), [1, 6, 7, 8]);
    assert.deepEqual(
      inbox.gaps.map(({ from, to, reason }) => ({ from, to, reason })),
      [{ from: 2, to: 5, reason: "retention" }],
    );
  });
});

describe("exactly-once", { timeout: 180_000 }, () => {
  test("a repeated key stores nothing and gives the first position, also after a restart", async (t) => {
    await using own = await ServerProcess.start(CONFIG);
    const client = connect(t, {}, own.url);
    const first = await client.publish("orders:1", 1, { key: "order 1" });
    assert.equal(first.duplicate, false);
    await client.publish("orders:1", 2);
    const again = await client.publish("orders:1", 1, { key: "order 1" });
    assert.deepEqual(again, { ...first, duplicate: true });
    await own.kill();
    await own.restart();
    assert.deepEqual(await client.publish("orders:1", 1, { key: "order 1" }), { ...first, duplicate: true });
    assert.deepEqual(await stored(client, "orders:1"), [1, 2]);
  });

  test("a publish whose answer is lost is repeated, and stored once", async (t) => {
    await using proxy = await FaultyProxy.start(server.port);
    const client = connect(t, {}, proxy.url);
    await client.connect();
    const cut = proxy.cutAfterAnswer();
    const published = client.publish("orders:2", 1);
    await cut;
    const { duplicate, offset } = await published;
    assert.deepEqual([duplicate, offset], [true, 1]);
    assert.deepEqual(await stored(client, "orders:2"), [1]);
  });

  test("a repeat that is older than the window is refused, not stored twice", async (t) => {
    const client = await RawClient.connect(server.port);
    t.after(() => client.terminate());
    const reply = client.next();
    client.send({ id: 2, publish: { channel: "orders:3", data: 1, key: "old", key_age: 600_000 } });
    assert.equal((JSON.parse(await reply) as { error?: { code: number } }).error?.code, 401);
    assert.deepEqual(await stored(connect(t), "orders:3"), []);
  });

  test("the handler is given each message once across a reload, with the positions in a file", async (t) => {
    const publisher = connect(t);
    const file = path.join(server.folder, "positions.json");
    const effects: number[] = [];
    const start = "earliest";
    const first = connect(t, { cursors: fileCursors(file) });
    const before = new Inbox(first, "orders:4", { start }, ({ data }) => {
      // The page is reloaded while it handles the fourth: that has had no effect.
      if (data === 4) return new Promise(() => {});
      effects.push(data);
    });
    await publishAll(publisher, "orders:4", 1, 6);
    await before.has(4);
    first.disconnect();

    const later = new Inbox(connect(t, { cursors: fileCursors(file) }), "orders:4", { start }, ({ data }) =>
      effects.push(data),
    );
    await later.has(3);
    await publisher.publish("orders:4", 7);
    await later.has(4);
    assert.deepEqual(effects, range(1, 7));
  });

  test("a durable handler with a store is given each message once, though its acknowledgements were lost", async (t) => {
    await using proxy = await FaultyProxy.start(server.port);
    const publisher = connect(t);
    const cursors = memoryCursors();
    const inbox = new Inbox(connect(t, { cursors }, proxy.url), "orders:5", { durable: "ledger" });
    await inbox.subscription.ready;
    for (let n = 1; n <= 50; n++) {
      await publisher.publish("orders:5", n);
      if (n % 5 === 0) await proxy.cutAfterAnswer();
    }
    assert.deepEqual(await inbox.has(50), range(1, 50));
  });

  test("a process that is killed in the middle repeats no effect, with the position in its own transaction", async (t) => {
    const publisher = connect(t);
    const file = path.join(server.folder, "effects.sqlite");
    const script = path.join(import.meta.dirname, "sqlite-consumer.ts");
    const publishing = publishAll(publisher, "orders:6", 1, 300);
    for (let kill = 0; kill < 4; kill++) {
      const consumer = new Program(script, [server.url, "orders:6", file]);
      await consumer.speaks();
      await consumer.end("SIGKILL");
    }
    await publishing;
    const consumer = new Program(script, [server.url, "orders:6", file]);
    while (!(await consumer.speaks()).includes("300"));
    await consumer.end("SIGKILL");
    const database = new DatabaseSync(file);
    const rows = database.prepare("SELECT n FROM effects ORDER BY rowid").all() as { n: number }[];
    database.close();
    assert.deepEqual(
      rows.map(({ n }) => n),
      range(1, 300),
    );
  });

  test("a message that always fails goes to the dead letters, and its place says so", async (t) => {
    const publisher = connect(t);
    const dead = connect(t);
    const letters: Message<number>[] = [];
    const arrived = new Promise<void>((resolve) => {
      dead.subscribe("dead:orders", (message) => {
        letters.push(message);
        resolve();
      });
    });
    const inbox = new Inbox(connect(t), "orders:7", { durable: "ledger" }, ({ data }) => {
      if (data === 2) throw new Error("never");
    });
    await inbox.subscription.ready;
    await publishAll(publisher, "orders:7", 1, 3);
    assert.deepEqual(await inbox.has(5), [1, 2, 2, 2, 3]);
    assert.deepEqual(
      inbox.gaps.map(({ from, to, reason }) => ({ from, to, reason })),
      [{ from: 2, to: 2, reason: "failed" }],
    );
    await arrived;
    assert.equal(letters[0]?.data, 2);
    assert.match(letters[0]?.tags?.["dead_letter_of"] ?? "", /^orders:7 /);
  });
});

describe("memory promises what it can keep", { timeout: 180_000 }, () => {
  const memory = { type: "memory" } as const;
  const kept = { ...open, backbone: "here", retention: { messages: 100 } } as const;

  test("a stronger promise is refused at the start, with the way out", async () => {
    for (const delivery of ["at-least-once", "exactly-once"] as const) {
      await using own = await ServerProcess.prepare({
        auth: { insecure: true },
        backbones: { here: memory },
        namespaces: { chat: { ...kept, delivery } },
      });
      const { code, stderr } = await own.refusedStart();
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`namespace "chat" promises ${delivery}, and "here" \\(memory\\) can keep at-most-once at most`),
      );
      assert.match(stderr, /Use a backbone of type .*embedded/);
    }
  });

  test("a client resumes from it while the process lives, and is told of the gap when it does not", async (t) => {
    await using own = await ServerProcess.start({
      auth: { insecure: true },
      backbones: { here: memory },
      namespaces: { chat: kept },
    });
    const [client, publisher] = [connect(t, {}, own.url), connect(t, {}, own.url)];
    const inbox = new Inbox(client, "chat:1");
    await inbox.subscription.ready;
    await publisher.publish("chat:1", 1);
    await inbox.has(1);
    client.disconnect();
    await publishAll(publisher, "chat:1", 2, 4);
    await client.connect();
    assert.deepEqual(await inbox.has(4), [1, 2, 3, 4]);
    await own.kill();
    await own.restart();
    await inbox.until(() => inbox.gaps.length === 1);
    assert.equal(inbox.gaps[0]?.reason, "epoch");
    await publisher.publish("chat:1", 5);
    assert.deepEqual(await inbox.has(5), [1, 2, 3, 4, 5]);
  });
});
