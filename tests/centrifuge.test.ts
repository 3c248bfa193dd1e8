/** The unmodified npm package `centrifuge`, the JavaScript client of the base protocol, against our gateway. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import {
  Centrifuge,
  type ClientInfo,
  type Options,
  type PublicationContext,
  type ServerPublicationContext,
  type ServerSubscribedContext,
  type SubscribedContext,
  type Subscription,
} from "centrifuge";
import type { ConfigInput } from "../server/src/config.ts";
import {
  createTodoku,
  signToken,
  TodokuError,
  ERRORS,
  type EmbeddedTodoku,
  type Hooks,
  type Json,
} from "../server/src/index.ts";
import { FaultyProxy } from "./faulty-proxy.ts";
import { ServerProcess } from "./server-process.ts";

const SECRET = "a secret of the tests of centrifuge";

const open = { subscribe: "any", publish: "any", history: "any", presence: "any" } as const;

const INSECURE: ConfigInput = {
  auth: { insecure: true },
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: {
    chat: { ...open, backbone: "local", delivery: "at-least-once", join_leave: true },
    short: { ...open, backbone: "local", delivery: "at-least-once", retention: { messages: 2 } },
    ticker: { ...open, backbone: "local", delivery: "at-most-once" },
  },
};

const WITH_TOKENS: ConfigInput = {
  log: { level: "error" },
  auth: { jwt: { hmac: SECRET } },
  backbones: { here: { type: "memory" } },
  namespaces: {
    chat: { backbone: "here", retention: { messages: 100 }, subscribe: "authenticated", publish: "subscribers" },
    private: { backbone: "here", subscribe: "token" },
    closed: { backbone: "here", subscribe: "none" },
  },
};

/** Reconnects quickly, and is disconnected at the end of the test. */
function client(t: TestContext, url: string, options: Partial<Options> = {}): Centrifuge {
  const centrifuge = new Centrifuge(url, { minReconnectDelay: 20, maxReconnectDelay: 200, ...options });
  t.after(() => centrifuge.disconnect());
  return centrifuge;
}

/** The next event of this kind. Ask before what causes it. */
function next<T>(
  emitter: { once(event: never, listener: (context: never) => void): unknown },
  event: string,
): Promise<T> {
  return new Promise((resolve) => emitter.once(event as never, resolve));
}

/** What the subscription receives, and a wait for so many. */
class Inbox {
  readonly publications: PublicationContext[] = [];
  #waiting: (() => void)[] = [];

  constructor(subscription: Subscription) {
    subscription.on("publication", (publication) => {
      this.publications.push(publication);
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  get data(): unknown[] {
    return this.publications.map(({ data }) => data as unknown);
  }

  async has(count: number): Promise<unknown[]> {
    while (this.publications.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.data;
  }
}

function recoverable(centrifuge: Centrifuge, channel: string): { subscription: Subscription; inbox: Inbox } {
  const subscription = centrifuge.newSubscription(channel, { recoverable: true, positioned: true });
  return { subscription, inbox: new Inbox(subscription) };
}

async function subscribe(subscription: Subscription): Promise<SubscribedContext> {
  const subscribed = next<SubscribedContext>(subscription, "subscribed");
  subscription.subscribe();
  return subscribed;
}

async function within(
  t: TestContext,
  hooks: Hooks,
  config = WITH_TOKENS,
): Promise<{ todoku: EmbeddedTodoku<Record<string, Json>>; url: string }> {
  const server: Server = createServer();
  const todoku = await createTodoku(config, hooks);
  todoku.attach(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    await todoku.close();
    server.close();
  });
  return { todoku, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/connection/websocket` };
}

describe("the client of the base protocol, with a server that anyone may use", { timeout: 180_000 }, () => {
  test("publishes, subscribes, and reads history", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    const centrifuge = client(t, server.webSocketUrl);
    centrifuge.connect();
    await centrifuge.ready();
    const { subscription, inbox } = recoverable(centrifuge, "chat:1");
    const { recoverable: can, positioned, streamPosition } = await subscribe(subscription);
    assert.equal(can && positioned, true);
    assert.equal(streamPosition?.offset, 0);

    await subscription.publish({ n: 1 });
    await centrifuge.publish("chat:1", { n: 2 });
    await server.api("publish", { channel: "chat:1", data: { n: 3 }, tags: { from: "api" } });
    assert.deepEqual(await inbox.has(3), [{ n: 1 }, { n: 2 }, { n: 3 }]);
    assert.deepEqual(
      inbox.publications.map(({ offset }) => offset),
      [1, 2, 3],
    );
    const [first, , third] = inbox.publications;
    assert.deepEqual(first?.info, { user: "", client: first?.info?.client });
    assert.ok(first?.info?.client);
    assert.deepEqual(third?.tags, { from: "api" });

    const history = await subscription.history({ limit: 2 });
    assert.deepEqual(
      history.publications.map(({ data, offset }) => [data as unknown, offset]),
      [
        [{ n: 1 }, 1],
        [{ n: 2 }, 2],
      ],
    );
    assert.deepEqual([history.epoch, history.offset], [streamPosition?.epoch, 3]);
    const newest = await subscription.history({ limit: 1, reverse: true });
    assert.deepEqual(newest.publications[0]?.data, { n: 3 });
    const since = await subscription.history({ limit: -1, since: { offset: 1, epoch: history.epoch } });
    assert.deepEqual(
      since.publications.map(({ offset }) => offset),
      [2, 3],
    );
    const position = await subscription.history({});
    assert.deepEqual([position.publications.length, position.offset], [0, 3]);
    await assert.rejects(subscription.history({ limit: 1, since: { offset: 1, epoch: "another" } }), { code: 112 });
  });

  test("gets presence and its numbers, and is told who joins and leaves", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    const [one, two] = [client(t, server.webSocketUrl), client(t, server.webSocketUrl)];
    one.connect();
    const watched = one.newSubscription("chat:1", { joinLeave: true });
    await subscribe(watched);

    two.connect();
    const { client: id } = await next<{ client: string }>(two, "connected");
    const joined = new Promise<void>((resolve) => {
      watched.on("join", ({ info }) => {
        if (info.client === id) resolve();
      });
    });
    const other = two.newSubscription("chat:1");
    await subscribe(other);
    await joined;

    const { clients } = await watched.presence();
    assert.equal(Object.keys(clients).length, 2);
    assert.deepEqual(clients[id], { client: id, user: "" });
    assert.deepEqual(await watched.presenceStats(), { numClients: 2, numUsers: 1 });

    const left = next<{ info: ClientInfo }>(watched, "leave");
    other.unsubscribe();
    assert.equal((await left).info.client, id);
    assert.deepEqual(await watched.presenceStats(), { numClients: 1, numUsers: 1 });
  });

  test("recovers after its connection was cut: nothing lost, nothing twice", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    await using proxy = await FaultyProxy.start(server.port);
    const centrifuge = client(t, proxy.webSocketUrl);
    centrifuge.connect();
    const { subscription, inbox } = recoverable(centrifuge, "chat:1");
    await subscribe(subscription);
    await subscription.publish(1);
    await inbox.has(1);

    const back = next<SubscribedContext>(subscription, "subscribed");
    proxy.breakOff();
    for (const n of [2, 3, 4]) await server.api("publish", { channel: "chat:1", data: n });
    proxy.mend();
    const { wasRecovering, recovered } = await back;
    assert.deepEqual([wasRecovering, recovered], [true, true]);
    await subscription.publish(5);
    assert.deepEqual(await inbox.has(5), [1, 2, 3, 4, 5]);
  });

  test("recovers after the server was killed and started again: nothing lost, nothing twice", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    const centrifuge = client(t, server.webSocketUrl, { minReconnectDelay: 500 });
    centrifuge.connect();
    const { subscription, inbox } = recoverable(centrifuge, "chat:1");
    await subscribe(subscription);
    for (let n = 1; n <= 3; n++) await subscription.publish(n);
    await inbox.has(3);

    const back = next<SubscribedContext>(subscription, "subscribed");
    await server.kill();
    await server.restart();
    // While it comes back, and more than one reply of the log holds.
    for (let n = 4; n <= 600; n += 20) {
      const numbers = Array.from({ length: Math.min(20, 601 - n) }, (_, i) => n + i);
      await Promise.all(numbers.map((data) => server.api("publish", { channel: "chat:1", data })));
    }
    const { wasRecovering, recovered } = await back;
    assert.deepEqual([wasRecovering, recovered], [true, true]);
    const data = await inbox.has(600);
    assert.deepEqual(
      inbox.publications.map(({ offset }) => offset),
      Array.from({ length: 600 }, (_, i) => i + 1),
    );
    assert.equal(new Set(data).size, 600);
  });

  test("is told when it cannot recover: the messages were trimmed", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    await using proxy = await FaultyProxy.start(server.port);
    const centrifuge = client(t, proxy.webSocketUrl);
    centrifuge.connect();
    const { subscription, inbox } = recoverable(centrifuge, "short:1");
    await subscribe(subscription);
    await subscription.publish(1);
    await inbox.has(1);

    const back = next<SubscribedContext>(subscription, "subscribed");
    proxy.breakOff();
    for (const n of [2, 3, 4, 5]) await server.api("publish", { channel: "short:1", data: n });
    proxy.mend();
    const { wasRecovering, recovered, streamPosition } = await back;
    assert.deepEqual([wasRecovering, recovered, streamPosition?.offset], [true, false, 5]);
    await subscription.publish(6);
    assert.deepEqual(await inbox.has(2), [1, 6]);
  });

  test("is told when it cannot recover: the data folder was lost", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    const centrifuge = client(t, server.webSocketUrl);
    centrifuge.connect();
    const { subscription, inbox } = recoverable(centrifuge, "chat:1");
    const { streamPosition: before } = await subscribe(subscription);
    await subscription.publish(1);
    await inbox.has(1);

    const back = next<SubscribedContext>(subscription, "subscribed");
    await server.kill();
    server.configure({
      ...INSECURE,
      backbones: { local: { type: "embedded", path: path.join(server.folder, "new") } },
    });
    await server.restart();
    const { wasRecovering, recovered, streamPosition } = await back;
    assert.deepEqual([wasRecovering, recovered], [true, false]);
    assert.notEqual(streamPosition?.epoch, before?.epoch);
  });

  test("loads its state anew when it cannot recover and asked to be refused then", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    await using proxy = await FaultyProxy.start(server.port);
    for (const n of [1, 2, 3]) await server.api("publish", { channel: "short:1", data: n });
    const { epoch } = await server.api<{ epoch: string }>("history", { channel: "short:1" });
    const positions = [{ epoch, offset: 3 }];
    const centrifuge = client(t, proxy.webSocketUrl);
    centrifuge.connect();
    let loaded = 0;
    const subscription = centrifuge.newSubscription("short:1", {
      minResubscribeDelay: 10,
      getState: async () => positions[loaded++] ?? { epoch, offset: 7 },
    });
    await subscribe(subscription);
    assert.equal(loaded, 1);

    const back = next<SubscribedContext>(subscription, "subscribed");
    proxy.breakOff();
    for (const n of [4, 5, 6, 7]) await server.api("publish", { channel: "short:1", data: n });
    proxy.mend();
    const { recovered } = await back;
    assert.deepEqual([loaded, recovered], [2, true]);
  });

  test("at-most-once channels carry no offsets, and cannot be recovered", async (t) => {
    await using server = await ServerProcess.start(INSECURE);
    const centrifuge = client(t, server.webSocketUrl);
    centrifuge.connect();
    const { subscription, inbox } = recoverable(centrifuge, "ticker:1");
    const { recoverable: can } = await subscribe(subscription);
    assert.equal(can, false);
    await subscription.publish(1);
    assert.deepEqual(await inbox.has(1), [1]);
    assert.equal(inbox.publications[0]?.offset, undefined);
    await assert.rejects(subscription.history({ limit: 1 }), { code: 108 });
  });
});

describe("the client of the base protocol, with tokens", { timeout: 180_000 }, () => {
  test("connects as the user of its token, which others see", async (t) => {
    const { url } = await within(t, {});
    const token = await signToken(SECRET, { user: "ann", info: { name: "Ann" } });
    const centrifuge = client(t, url, { token });
    centrifuge.connect();
    const subscription = centrifuge.newSubscription("chat:1");
    const inbox = new Inbox(subscription);
    await subscribe(subscription);
    await subscription.publish("hello");
    await inbox.has(1);
    const { user, connInfo } = inbox.publications[0]?.info ?? {};
    assert.deepEqual([user, connInfo], ["ann", { name: "Ann" }]);
  });

  test("is refused without a token, and with another's, and stays away", async (t) => {
    const { url } = await within(t, {});
    const forged = await signToken("another secret of sixteen", { user: "ann" });
    for (const options of [{}, { token: forged }]) {
      const centrifuge = client(t, url, options);
      const disconnected = next<{ code: number }>(centrifuge, "disconnected");
      centrifuge.connect();
      assert.equal((await disconnected).code, 3500);
    }
  });

  test("refreshes its connection's token before it expires", async (t) => {
    const { url } = await within(t, {});
    let tokens = 0;
    const twice = new Promise<void>((resolve) => {
      const centrifuge = client(t, url, {
        getToken: () => {
          if (++tokens === 3) resolve();
          return signToken(SECRET, { user: "ann", ttl: 1 });
        },
      });
      centrifuge.on("connected", () => connected++);
      centrifuge.connect();
    });
    let connected = 0;
    await twice;
    assert.equal(connected, 1);
  });

  test("an expired token is refused, and a new one is asked for", async (t) => {
    const { url } = await within(t, {});
    const token = await signToken(SECRET, { user: "ann", ttl: 10 }, Date.now() - 60_000);
    const centrifuge = client(t, url, { token, getToken: () => signToken(SECRET, { user: "ann" }) });
    const connected = next<{ client: string }>(centrifuge, "connected");
    centrifuge.connect();
    assert.ok((await connected).client);
  });

  test("subscribes with a subscription token, and refreshes that", async (t) => {
    const { url } = await within(t, {});
    const centrifuge = client(t, url, { token: await signToken(SECRET, { user: "ann" }) });
    centrifuge.connect();
    let tokens = 0;
    let subscribed = 0;
    await new Promise<void>((resolve) => {
      const subscription = centrifuge.newSubscription("private:1", {
        getToken: ({ channel }) => {
          if (++tokens === 3) resolve();
          return signToken(SECRET, { user: "ann", channel, ttl: 1 });
        },
      });
      subscription.on("subscribed", () => subscribed++);
      subscription.subscribe();
    });
    assert.equal(subscribed, 1);
  });

  test("is not let into a channel without the right", async (t) => {
    const { url } = await within(t, {});
    const centrifuge = client(t, url, { token: await signToken(SECRET, { user: "ann" }) });
    centrifuge.connect();
    for (const [channel, code] of [
      ["closed:1", 103],
      ["private:1", 103],
      ["nowhere:1", 102],
    ] as const) {
      const subscription = centrifuge.newSubscription(channel);
      const unsubscribed = next<{ code: number }>(subscription, "unsubscribed");
      subscription.subscribe();
      assert.equal((await unsubscribed).code, code, channel);
    }
  });

  test("gets the subscriptions that its token names, and recovers them", async (t) => {
    const { url, todoku } = await within(t, {});
    const token = await signToken(SECRET, { user: "ann", channels: ["chat:news"] });
    const centrifuge = client(t, url, { token, minReconnectDelay: 300 });
    const received: unknown[] = [];
    const got = new Promise<void>((resolve) => {
      centrifuge.on("publication", ({ channel, data }: ServerPublicationContext) => {
        received.push([channel, data]);
        if (received.length === 3) resolve();
      });
    });
    const first = next<ServerSubscribedContext>(centrifuge, "subscribed");
    centrifuge.connect();
    const { channel, recoverable: can } = await first;
    assert.deepEqual([channel, can], ["chat:news", true]);
    await todoku.publish("chat:news", 1);

    const again = next<ServerSubscribedContext>(centrifuge, "subscribed");
    const gone = next(centrifuge, "connecting");
    await todoku.disconnect({ user: "ann" }, { code: 3000, reason: "come back" });
    await gone;
    await todoku.publish("chat:news", 2);
    await todoku.publish("chat:news", 3);
    assert.equal((await again).recovered, true);
    await got;
    assert.deepEqual(received, [
      ["chat:news", 1],
      ["chat:news", 2],
      ["chat:news", 3],
    ]);
  });

  test("is subscribed and unsubscribed by the server while it is connected", async (t) => {
    const { url, todoku } = await within(t, {});
    const centrifuge = client(t, url, { token: await signToken(SECRET, { user: "ann" }) });
    centrifuge.connect();
    await centrifuge.ready();
    const subscribed = next<ServerSubscribedContext>(centrifuge, "subscribed");
    await todoku.subscribe({ user: "ann" }, "chat:news");
    assert.equal((await subscribed).channel, "chat:news");
    const published = next<ServerPublicationContext>(centrifuge, "publication");
    await todoku.publish("chat:news", "hi");
    assert.equal((await published).data, "hi");
    const unsubscribed = next<{ channel: string }>(centrifuge, "unsubscribed");
    await todoku.unsubscribe({ user: "ann" }, "chat:news");
    assert.equal((await unsubscribed).channel, "chat:news");
  });

  test("calls procedures, sends, and gets the application's answers and errors", async (t) => {
    const sent: unknown[] = [];
    const { url } = await within(t, {
      onRpc: ({ user }, method, data) => {
        if (method === "forbidden") throw new TodokuError(ERRORS.permissionDenied);
        return { user, method, ...(data !== undefined && { data }) };
      },
      onSend: (_, data) => void sent.push(data),
    });
    const centrifuge = client(t, url, { token: await signToken(SECRET, { user: "ann" }) });
    centrifuge.connect();
    await centrifuge.ready();
    await centrifuge.send({ seen: 1 });
    assert.deepEqual((await centrifuge.rpc("echo", [1, 2])).data, { user: "ann", method: "echo", data: [1, 2] });
    assert.deepEqual(sent, [{ seen: 1 }]);
    await assert.rejects(centrifuge.rpc("forbidden", {}), { code: 103 });
  });

  test("is answered 104 where the server has no procedures", async (t) => {
    const { url } = await within(t, {});
    const centrifuge = client(t, url, { token: await signToken(SECRET, { user: "ann" }) });
    centrifuge.connect();
    await centrifuge.ready();
    await assert.rejects(centrifuge.rpc("anything", {}), { code: 104 });
  });
});
