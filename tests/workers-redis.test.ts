/** `todoku serve --workers auto` over a broker: a process per core, none that owns a store, and what one is given all deliver and keep. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import type { ConfigInput } from "../server/src/config.ts";
import { needBroker } from "../scripts/brokers/need.ts";
import { RawClient } from "./raw-client.ts";
import { ServerProcess } from "./server-process.ts";
import { processesOf, replaced, whole } from "./workers/processes.ts";

const redis = await needBroker("redis");
const skip = process.platform === "linux" ? redis.skip : "processes share a port, and are looked at in /proc, on Linux";
/** So many that the system gives some to each process. */
const CLIENTS = 16 * availableParallelism();

test("a worker for each core serves what Redis carries and keeps", { skip, timeout: 120_000 }, async (t) => {
  assert.ok(redis.skip === false);
  const [url] = redis.urls;
  const open = { subscribe: "any", publish: "any", history: "any" } as const;
  const config = {
    workers: "auto",
    drain: "0s",
    auth: { insecure: true },
    log: { level: "silent" },
    client: { unauthenticated_per_address: CLIENTS, rate: { connects: "off" } },
    backbones: { bus: { type: "redis-pubsub", url }, streams: { type: "redis-streams", url } },
    namespaces: {
      live: { ...open, backbone: "bus" },
      kept: { ...open, backbone: "streams", delivery: "at-least-once", retention: { messages: 100 } },
    },
  } satisfies ConfigInput;
  await using server = await ServerProcess.start(config);
  await whole(server);
  const { workers, store } = processesOf(server);
  assert.equal(workers.length, availableParallelism());
  assert.equal(store, undefined, "Redis is the store");

  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(server.port)));
  t.after(() => {
    for (const client of clients) client.terminate();
  });
  const { nodes } = await server.api<{ nodes: { num_clients: number }[] }>("info", {});
  assert.ok(nodes.length === workers.length && nodes.every(({ num_clients }) => num_clients > 0));
  const run = randomUUID();
  for (const channel of [`live:${run}`, `kept:${run}`]) {
    await Promise.all(
      clients.map((client) => {
        const answered = client.next();
        client.send({ id: 2, subscribe: { channel } });
        return answered;
      }),
    );
    const got = clients.map((client) => client.next());
    await server.api("publish", { channel, data: `on ${channel}` });
    for (const text of await Promise.all(got)) assert.ok(text.includes(`"data":"on ${channel}"`), text);
  }
  const [gone] = workers;
  assert.ok(gone);
  await replaced(server, gone, "SIGKILL");
  await whole(server);
  const { publications } = await server.api<{ publications: { data: unknown }[] }>("history", {
    channel: `kept:${run}`,
    limit: 10,
  });
  assert.deepEqual(
    publications.map(({ data }) => data),
    [`on kept:${run}`],
  );
});
