/** todoku inside an application: attached to a server that is there already, with decisions in code. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import express from "express";
import { Todoku as Client } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import { createTodoku, ERRORS, TodokuError, type EmbeddedTodoku, type Hooks } from "./index.ts";
import type { ConfigInput } from "./config.ts";

type Channels = { [channel: `chat:${string}` | `jobs:${string}`]: unknown };

const API_KEY = "a-key-for-the-tests-of-embedding";
const CONFIG: ConfigInput = {
  log: { level: "silent" },
  auth: { api_keys: [{ id: "backend", key: API_KEY }] },
  backbones: { memory: { type: "memory" } },
  namespaces: {
    chat: { backbone: "memory", retention: { messages: 100 }, publish: "subscribers", presence: "subscribers" },
    jobs: { backbone: "memory", consume: "authenticated", queue: {} },
    closed: { backbone: "memory", queue: {} },
  },
};

/** A server with todoku attached, and clients of it. */
class Application implements AsyncDisposable {
  readonly todoku: EmbeddedTodoku<Channels>;
  readonly server: Server;
  readonly #clients: Client[] = [];

  private constructor(todoku: Application["todoku"], server: Server) {
    this.todoku = todoku;
    this.server = server;
  }

  static async start(hooks: Hooks, app?: (todoku: Application["todoku"]) => express.Express): Promise<Application> {
    const todoku = await createTodoku<Channels>(CONFIG, hooks);
    const server = createServer(app?.(todoku) ?? ((request, response) => todoku.handler(request, response)));
    todoku.attach(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Application(todoku, server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  client(name: string, path = ""): Client {
    const client = new Client(this.url + path, { data: { name }, backoff: { firstMs: 5, lastMs: 20 } });
    client.on("error", () => {});
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.todoku.close();
    this.server.close();
    this.server.closeAllConnections();
  }
}

const byName: Hooks = {
  onConnect: ({ data }) => {
    const name = typeof data === "object" && data !== null && "name" in data ? data["name"] : undefined;
    if (typeof name === "string" && name !== "") return { user: name, info: { name }, data: { hello: name } };
    return undefined;
  },
};

describe("hooks", () => {
  test("onConnect says who it is; without an answer the configuration decides, and lets nobody in", async () => {
    await using app = await Application.start(byName);
    const ann = app.client("ann");
    await ann.connect();
    const subscription = ann.subscribe("chat:1", () => {});
    await subscription.ready;
    const [info] = Object.values(await app.todoku.presence("chat:1"));
    assert.deepEqual(info, { user: "ann", client: ann.id, conn_info: { name: "ann" } });
    await assert.rejects(app.client("").connect(), (error) => error instanceof TodokuError && error.retry === "stop");
  });

  test("onConnect may refuse with a code, and what it throws else is internal and told to nobody", async () => {
    const attempts: string[] = [];
    await using app = await Application.start({
      onConnect: ({ data }) => {
        const { name } = data as { name: string };
        attempts.push(name);
        if (name === "banned") throw new TodokuError(ERRORS.permissionDenied, "you know why");
        if (attempts.length < 3) throw new Error("the database's password is hunter2");
        return { user: name };
      },
    });
    await assert.rejects(app.client("banned").connect(), (error) => error instanceof TodokuError && error.code === 103);
    const ann = app.client("ann");
    const errors: string[] = [];
    ann.on("error", ({ message }) => errors.push(message));
    await ann.connect();
    assert.deepEqual(attempts, ["banned", "ann", "ann"]);
    assert.doesNotMatch(errors.join(), /hunter2/);
  });

  test("onSubscribe may refuse and add info; onPublish may refuse and alter; both know the caller", async () => {
    const calls: string[] = [];
    await using app = await Application.start({
      ...byName,
      onSubscribe: async ({ user }, channel) => {
        calls.push(`${user} subscribes ${channel}`);
        if (channel === "chat:private") throw new TodokuError(ERRORS.permissionDenied);
        return { info: { role: "guest" }, data: { topic: "tea" } };
      },
      onPublish: async ({ user }, channel, data) => {
        calls.push(`${user} publishes ${channel}`);
        if (data === "spam") throw new TodokuError(ERRORS.limitExceeded);
        return { data: `${data as string}!` };
      },
    });
    const ann = app.client("ann");
    const received: unknown[] = [];
    const { promise: told, resolve } = Promise.withResolvers<void>();
    const subscription = ann.subscribe("chat:1", (message) => {
      received.push(message.data, message.info?.chan_info);
      resolve();
    });
    await subscription.ready;
    await assert.rejects(ann.publish("chat:1", "spam"), { code: 106 });
    await ann.publish("chat:1", "hi");
    await told;
    assert.deepEqual(received, ["hi!", { role: "guest" }]);
    const refused = ann.subscribe("chat:private", () => {});
    refused.on("error", () => {});
    await assert.rejects(refused.ready, { code: 103 });
    assert.deepEqual(calls, [
      "ann subscribes chat:1",
      "ann publishes chat:1",
      "ann publishes chat:1",
      "ann subscribes chat:private",
    ]);
  });

  test("onConsume may refuse a queue or a group, and knows the caller; without it the rules decide", async () => {
    const calls: string[] = [];
    await using app = await Application.start({
      ...byName,
      onConsume: async ({ user }, queue, group) => {
        calls.push(`${user} consumes ${queue} as ${group}`);
        if (group !== "resizers") throw new TodokuError(ERRORS.permissionDenied, "there is one group");
      },
    });
    const ann = app.client("ann");
    const other = consume(ann, "jobs:resize", { group: "mine" }, () => {});
    other.on("error", () => {});
    await assert.rejects(other.ready, { code: 103, message: "permission denied: there is one group" });
    await app.todoku.publish("jobs:resize", 1);
    const { promise: job, resolve } = Promise.withResolvers<unknown>();
    await consume(ann, "jobs:resize", { group: "resizers" }, ({ data }) => resolve(data)).ready;
    assert.equal(await job, 1);
    const closed = consume(ann, "closed:a", {}, () => {});
    closed.on("error", () => {});
    await assert.rejects(closed.ready, { code: 103 });
    assert.deepEqual(calls, ["ann consumes jobs:resize as mine", "ann consumes jobs:resize as resizers"]);
  });

  test("onRpc answers, onSend hears, onDisconnect tells the end", async () => {
    const sent = Promise.withResolvers<unknown>();
    const left = Promise.withResolvers<string>();
    await using app = await Application.start({
      ...byName,
      onRpc: ({ user }, method, data) => {
        if (method !== "sum") throw new TodokuError(ERRORS.methodNotFound);
        const numbers = data as number[];
        return { user, sum: numbers.reduce((sum, one) => sum + one, 0) };
      },
      onSend: (_, data) => sent.resolve(data),
      onDisconnect: ({ user }, { code }) => left.resolve(`${user} ${code}`),
    });
    const ann = app.client("ann");
    assert.deepEqual(await ann.rpc("sum", [1, 2, 3]), { user: "ann", sum: 6 });
    await assert.rejects(ann.rpc("nonsense", null), { code: 104 });
    ann.send({ typing: true });
    assert.deepEqual(await sent.promise, { typing: true });
    await app.todoku.disconnect({ user: "ann" });
    assert.equal(await left.promise, "ann 3503");
  });
});

describe("beside an application", () => {
  let app: Application;
  before(async () => {
    app = await Application.start(byName, (todoku) => {
      const routes = express();
      routes.use("/parsed", express.json(), todoku.handler);
      routes.use("/eaten", (request, _, next) => void request.resume().once("end", next), todoku.handler);
      routes.use(todoku.handler);
      routes.get("/", (_, response) => void response.send("the application"));
      routes.get("/api/users", (_, response) => void response.json(["ann"]));
      return routes;
    });
  });
  after(() => app[Symbol.asyncDispose]());
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(app.url + path);
    return [response.status, await response.text()];
  };
  const publish = (prefix: string, key: string): Promise<Response> =>
    fetch(`${app.url}${prefix}/api/publish`, {
      method: "POST",
      headers: { "x-api-key": key, "content-type": "application/json" },
      body: JSON.stringify({ channel: "chat:http", data: 1 }),
    });

  test("its own pages are its own, also below /api/", async () => {
    assert.deepEqual(await get("/"), [200, "the application"]);
    assert.deepEqual(await get("/api/users"), [200, '["ann"]']);
    assert.equal((await get("/nowhere"))[0], 404);
  });

  test("the API, health and metrics are there, with their key", async () => {
    assert.equal((await publish("", API_KEY)).status, 200);
    assert.equal((await publish("", "wrong")).status, 401);
    assert.equal((await get("/health"))[0], 200);
    assert.equal((await get("/metrics"))[0], 401);
  });

  test("the API works behind a body parser, under a prefix", async () => {
    const response = await publish("/parsed", API_KEY);
    assert.equal(response.status, 200);
    assert.ok(Object.hasOwn(((await response.json()) as { result: object }).result, "offset"));
  });

  test("a body that something else has read is said to be so, at once", async () => {
    const response = await publish("/eaten", API_KEY);
    assert.equal(response.status, 400);
    const { error } = (await response.json()) as { error: { message: string } };
    assert.match(error.message, /Put todoku's handler before the body parser/);
  });

  test("what the application publishes reaches clients, typed by channel", async () => {
    const client = app.client("ann");
    const got = Promise.withResolvers<unknown>();
    await client.subscribe("chat:own", ({ data }) => got.resolve(data)).ready;
    const { offset } = await app.todoku.publish("chat:own", { from: "the application" });
    assert.equal(offset, 1);
    assert.deepEqual(await got.promise, { from: "the application" });
    // @ts-expect-error -- no such channel in the map
    await assert.rejects(app.todoku.publish("lost:1", 1), { code: 102 });
  });

  test("operations act on its connections", async () => {
    const client = app.client("bob");
    await client.connect();
    assert.equal(await app.todoku.subscribe({ user: "bob" }, "chat:ops"), 1);
    assert.deepEqual(await app.todoku.presenceStats("chat:ops"), { num_clients: 1, num_users: 1 });
    assert.deepEqual(await app.todoku.channels("chat:op*"), { "chat:ops": { num_clients: 1 } });
    assert.equal(await app.todoku.unsubscribe({ user: "bob" }, "chat:ops"), 1);
    assert.equal(await app.todoku.refresh({ user: "bob" }, { expireAt: Date.now() / 1000 + 60 }), 1);
    assert.equal((await app.todoku.info())[0]?.num_users, 1 + 1);
  });
});

test("close sends the clients elsewhere, lets the application's server go on, and takes upgrades no more", async () => {
  await using app = await Application.start(byName);
  const client = app.client("ann");
  await client.connect();
  const lost = new Promise<void>((resolve) => {
    client.on("state", (state) => state !== "connected" && resolve());
  });
  await app.todoku.close();
  await lost;
  assert.equal((await fetch(`${app.url}/nowhere`)).status, 404);
  await assert.rejects(app.todoku.publish("chat:1", 1), { code: 402 });
});

test("a wrong configuration is refused with everything that is wrong, before anything is opened", async () => {
  await assert.rejects(createTodoku({ namespaces: { a: {}, b: { backbone: "x" } } }), { name: "ConfigError" });
  // @ts-expect-error -- no such key
  await assert.rejects(createTodoku({ htpp: {} }), /did you mean http\?/);
});
