/** Queues over the wire, rule by rule. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ConsumeRequest, Job } from "@todoku/protocol";
import { BackboneError } from "../backbones/contract.ts";
import { MemoryBackbone, MemoryStore } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import {
  openGateway,
  type ConnectedClient,
  type TestClient,
  type TestGateway,
  type TestGatewayOptions,
} from "../test-gateway.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** `jobs` is a queue that is open to anyone. */
const QUEUES: NonNullable<TestGatewayOptions["namespaces"]> = {
  jobs: { publish: "any", consume: "any", queue: {} },
};

function open(context: TestContext, options: TestGatewayOptions = {}): Promise<TestGateway> {
  return openGateway(context, { ...options, namespaces: { ...QUEUES, ...options.namespaces } });
}

async function consumer(gateway: TestGateway, request: Partial<ConsumeRequest> = {}): Promise<ConnectedClient> {
  const client = await gateway.connect();
  await client.ask("consume", { queue: "jobs:a", ...request });
  return client;
}

async function dataOf(client: TestClient, count: number): Promise<unknown[]> {
  const data: unknown[] = [];
  while (data.length < count) data.push((await client.next("job")).data);
  return data;
}

function held({ lease, group }: Job): { queue: string; group: string; lease: string } {
  return { queue: "jobs:a", group, lease };
}

test("Q1, Q3 a consumer is told what it gets, and a job comes with all that is known of it", async (t) => {
  const gateway = await open(t);
  const client = await gateway.connect();
  assert.deepEqual(await client.ask("consume", { queue: "jobs:a" }), {
    group: "default",
    in_flight: 1,
    lease_ms: 30 * SECOND,
  });
  const publisher = await gateway.connect();
  await publisher.ask("publish", { channel: "jobs:a", data: { picture: 1 }, tags: { k: "v" } });
  const { push } = await client.take((reply) => reply.push?.job !== undefined);
  assert.ok(push?.job);
  assert.equal(push.queue, "jobs:a");
  const { id, lease, info, ...job } = push.job;
  assert.ok(id !== "" && lease !== "" && info?.client === publisher.connected.client);
  assert.deepEqual(job, {
    data: { picture: 1 },
    time: gateway.clock.now(),
    attempt: 1,
    lease_ms: 30 * SECOND,
    group: "default",
    tags: { k: "v" },
  });
});

test("Q1 in_flight is at most what the namespace allows", async (t) => {
  const gateway = await open(t, { namespaces: { jobs: { consume: "any", queue: { in_flight: 5, lease: "10s" } } } });
  const client = await gateway.connect();
  const request = { queue: "jobs:a", group: "g", in_flight: 1000 };
  assert.deepEqual(await client.ask("consume", request), { group: "g", in_flight: 5, lease_ms: 10 * SECOND });
});

test("Q2 who may consume says the namespace, or a token for that queue", async (t) => {
  const gateway = await open(t, {
    jwt: true,
    namespaces: {
      closed: { queue: {} },
      known: { consume: "authenticated", queue: {} },
      jobs: { consume: "token", queue: {} },
    },
  });
  const ann = await gateway.connectAs("ann");
  const anonymous = await gateway.connectAs("");
  assert.equal((await ann.refused("consume", { queue: "closed:a" })).code, 103);
  assert.equal((await anonymous.refused("consume", { queue: "known:a" })).code, 103);
  await ann.ask("consume", { queue: "known:a" });
  assert.equal((await ann.refused("consume", { queue: "jobs:a" })).code, 103);
  const token = await gateway.token({ user: "ann", channel: "jobs:a" });
  assert.equal((await ann.refused("consume", { queue: "jobs:b", token })).code, 103);
  await ann.ask("consume", { queue: "jobs:a", token });
});

test("Q2, Q15 who may enqueue says the namespace, whoever may consume", async (t) => {
  const gateway = await open(t, {
    jwt: true,
    namespaces: {
      closed: { consume: "any", queue: {} },
      known: { consume: "none", publish: "authenticated", queue: {} },
    },
  });
  const [ann, anonymous] = [await gateway.connectAs("ann"), await gateway.connectAs("")];
  await ann.ask("consume", { queue: "closed:a" });
  assert.equal((await ann.refused("publish", { channel: "closed:a", data: 1 })).code, 103);
  assert.equal((await anonymous.refused("publish", { channel: "known:a", data: 1 })).code, 103);
  assert.deepEqual(await ann.ask("publish", { channel: "known:a", data: 1 }), {});
  assert.equal((await ann.refused("consume", { queue: "known:a" })).code, 103);
});

test("Q2 a channel that is no queue, and a queue that is consumed already", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway);
  assert.equal((await client.refused("consume", { queue: "chat" })).code, 108);
  assert.equal((await client.refused("consume", { queue: "jobs:a" })).code, 105);
  await client.ask("consume", { queue: "jobs:a", group: "other" });
});

test("Q3 of a group exactly one consumer gets each job", async (t) => {
  const gateway = await open(t);
  const clients = await Promise.all([1, 2, 3].map(() => consumer(gateway, { in_flight: 10 })));
  await gateway.publishNumbers("jobs:a", 1, 30);
  const got = await Promise.all(clients.map((client) => dataOf(client, 10)));
  assert.deepEqual(new Set(got.flat()).size, 30);
  for (const client of clients) assert.deepEqual(await client.rest(), []);
});

test("Q4 a slow consumer keeps no hoard: who is done gets the next", async (t) => {
  const gateway = await open(t);
  const slow = await consumer(gateway, { in_flight: 2 });
  const fast = await consumer(gateway, { in_flight: 2 });
  await gateway.publishNumbers("jobs:a", 1, 20);
  assert.equal((await dataOf(slow, 2)).length, 2);
  for (let i = 0; i < 18; i++) await fast.ask("done", held(await fast.next("job")));
  assert.deepEqual(await slow.rest(), []);
  assert.equal((await gateway.namespace("jobs:a").queue?.jobs.info("jobs:a"))?.jobs, 2);
});

test("Q4 the next job is on its way while the end of one is stored", async (t) => {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  await backbone.open();
  const stored = Promise.withResolvers<void>();
  const { done } = backbone.queue;
  Object.assign(backbone.queue, {
    done: async (...given: Parameters<typeof done>) => {
      await stored.promise;
      return done(...given);
    },
  });
  const gateway = await open(t, { clock, backbone });
  const client = await consumer(gateway);
  await gateway.publishNumbers("jobs:a", 1, 4);
  const first = await client.next("job");
  const [one, two] = [client.newId, client.newId];
  client.send({ id: one, done: held(first) });
  const second = await client.next("job");
  assert.deepEqual([first.data, second.data], [1, 2]);
  client.send({ id: two, done: held(second) });
  assert.deepEqual(await client.rest(), [], "ends that cannot be stored do not pile up");
  stored.resolve();
  assert.deepEqual([(await client.reply(one)).error, (await client.reply(two)).error], [undefined, undefined]);
  assert.equal((await client.next("job")).data, 3);
});

test("Q4 an end that could not be stored leaves the job in the consumer's hand", async (t) => {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  await backbone.open();
  const { done } = backbone.queue;
  const broken = Promise.withResolvers<never>();
  Object.assign(backbone.queue, { done: () => broken.promise });
  const gateway = await open(t, { clock, backbone });
  const client = await consumer(gateway);
  await gateway.publishNumbers("jobs:a", 1, 3);
  const job = await client.next("job");
  const refused = client.refused("done", held(job));
  const next = await client.next("job");
  broken.reject(new BackboneError("unavailable", "for now"));
  assert.equal((await refused).code, 402);
  Object.assign(backbone.queue, { done });
  await client.ask("done", held(next));
  assert.deepEqual(await client.rest(), [], "the first is in hand, and there is room for one");
  await client.ask("done", held(job));
  assert.equal((await client.next("job")).data, 3);
});

test("what several ends of one turn make room for is asked for at once", async (t) => {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  await backbone.open();
  const { lease } = backbone.queue;
  const limits: number[] = [];
  Object.assign(backbone.queue, {
    lease: (...given: Parameters<typeof lease>) => {
      limits.push(given[2].limit);
      return lease(...given);
    },
  });
  const gateway = await open(t, { clock, backbone });
  await gateway.publishNumbers("jobs:a", 1, 20);
  const client = await consumer(gateway, { in_flight: 10 });
  const jobs: Job[] = [];
  while (jobs.length < 10) jobs.push(await client.next("job"));
  limits.length = 0;
  client.send(...jobs.map((job) => ({ id: client.newId, done: held(job) })));
  await dataOf(client, 10);
  assert.equal(limits[0], 10);
});

test("Q4 a connection whose outbox is full gets no job", async (t) => {
  const gateway = await open(t, { client: { queue_bytes: "16KiB" } });
  const client = await consumer(gateway, { in_flight: 100 });
  client.socket.hold();
  for (let i = 0; i < 40; i++) await gateway.publish("jobs:a", "x".repeat(2000));
  await gateway.clock.advance(SECOND);
  const leased = (await gateway.namespace("jobs:a").queue?.jobs.info("jobs:a"))?.groups[0]?.leased ?? 0;
  assert.ok(leased < 20, `${leased} jobs wait for a client that does not read`);
  client.socket.release();
  assert.equal((await dataOf(client, 40)).length, 40);
});

test("Q5 what is done does not come again", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway);
  await gateway.publish("jobs:a", 1);
  assert.deepEqual(await client.ask("done", held(await client.next("job"))), {});
  await gateway.clock.advance(MINUTE);
  assert.deepEqual(await client.rest(), []);
});

test("Q6 a failed job comes again after a delay that doubles, or when its consumer says", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway);
  await gateway.publish("jobs:a", 1);
  for (const [attempt, delay] of [
    [1, 1],
    [2, 2],
    [3, 4],
  ] as const) {
    const job = await client.next("job");
    assert.equal(job.attempt, attempt);
    assert.deepEqual(await client.ask("fail", held(job)), {});
    await gateway.clock.advance(delay * SECOND - 1);
    assert.deepEqual(await client.rest(), []);
    await gateway.clock.advance(1);
  }
  await client.ask("fail", { ...held(await client.next("job")), retry_in_ms: 10 * SECOND });
  await gateway.clock.advance(10 * SECOND - 1);
  assert.deepEqual(await client.rest(), []);
  await gateway.clock.advance(1);
  assert.equal((await client.next("job")).attempt, 5);
});

test("Q7 an untried job comes again at once, as if for the first time", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway);
  await gateway.publish("jobs:a", 1);
  const first = await client.next("job");
  await client.ask("fail", { ...held(first), untried: true });
  const second = await client.next("job");
  assert.deepEqual([second.id, second.attempt], [first.id, 1]);
});

test("Q8 after the last attempt the job is a dead letter, with the reason that was given", async (t) => {
  const gateway = await open(t, { namespaces: { jobs: { consume: "any", queue: { max_attempts: 2 } } } });
  const client = await consumer(gateway);
  await gateway.publish("jobs:a", "bad");
  assert.deepEqual(await client.ask("fail", held(await client.next("job"))), {});
  await gateway.clock.advance(SECOND);
  const last = { ...held(await client.next("job")), reason: "no such picture" };
  assert.deepEqual(await client.ask("fail", last), { dead: true });
  const [letter] = (await gateway.namespace("jobs:a").queue?.jobs.dead.list("jobs:a", { limit: 10 })) ?? [];
  assert.deepEqual([letter?.job.data, letter?.attempts, letter?.reason], ['"bad"', 2, "no such picture"]);
});

test("Q9, Q10 a lease lasts as long as it is extended, and ends by itself as a failed attempt", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway, { lease_ms: 10 * SECOND, in_flight: 2 });
  await gateway.publish("jobs:a", 1);
  const first = await client.next("job");
  for (let i = 0; i < 3; i++) {
    await gateway.clock.advance(8 * SECOND);
    assert.deepEqual(await client.ask("extend", held(first)), { lease_ms: 10 * SECOND });
  }
  assert.deepEqual(await client.rest(), []);
  await gateway.clock.advance(14 * SECOND);
  assert.equal((await client.next("job")).attempt, 2);
});

test("E7 leases that a client only names count towards the rate of commands, those in its hands do not", async (t) => {
  const gateway = await open(t, { client: { rate: { commands: "5/s" } } });
  const client = await consumer(gateway, { in_flight: 10 });
  for (let i = 0; i < 10; i++) await gateway.publish("jobs:a", i);
  const jobs: Job[] = [];
  while (jobs.length < 10) jobs.push(await client.next("job"));
  for (const job of jobs) assert.deepEqual(await client.ask("done", held(job)), {});
  const invented = { queue: "jobs:a", group: "default", lease: "invented" };
  const codes = [];
  for (let i = 0; i < 6; i++) codes.push((await client.refused("extend", invented)).code);
  // Connect and consume have taken two of the five.
  assert.deepEqual(codes, [406, 406, 406, 111, 111, 111]);
});

test("Q11 whoever lost the lease is told so, and changes nothing", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway, { lease_ms: SECOND, in_flight: 2 });
  await gateway.publish("jobs:a", 1);
  const zombie = held(await client.next("job"));
  await gateway.clock.advance(2 * SECOND + 1);
  const second = await client.next("job");
  assert.equal((await client.refused("done", zombie)).code, 406);
  assert.equal((await client.refused("fail", zombie)).code, 406);
  assert.equal((await client.refused("extend", zombie)).code, 406);
  assert.deepEqual(await client.ask("done", held(second)), {});
  assert.equal((await client.refused("done", held(second))).code, 406);
});

test("Q12 the jobs of a lost connection go to others after a short grace", async (t) => {
  const gateway = await open(t);
  const lost = await consumer(gateway, { lease_ms: 10 * MINUTE });
  await gateway.publish("jobs:a", 1);
  await lost.next("job");
  lost.cut();
  const other = await consumer(gateway);
  await gateway.clock.advance(4 * SECOND);
  assert.deepEqual(await other.rest(), []);
  await gateway.clock.advance(4 * SECOND);
  assert.equal((await other.next("job")).attempt, 2);
});

test("Q12 within the grace the same consumer goes on with its job, on another gateway as well", async (t) => {
  const clocks = [new ManualClock(), new ManualClock()] as const;
  const store = new MemoryStore(clocks[0]);
  const onStore = async (clock: ManualClock): Promise<TestGateway> => {
    const backbone = new MemoryBackbone({}, clock, store);
    await backbone.open();
    return open(t, { clock, backbone });
  };
  const advance = (ms: number): Promise<unknown> => Promise.all(clocks.map((clock) => clock.advance(ms)));
  const [here, there] = [await onStore(clocks[0]), await onStore(clocks[1])];
  const lost = await consumer(here);
  await here.publish("jobs:a", 1);
  const job = await lost.next("job");
  lost.cut();
  await advance(4 * SECOND);
  const again = await there.connect();
  const reply = await again.ask("consume", { queue: "jobs:a", resume: [job.lease, "1-gone"] });
  assert.deepEqual(reply.resumed, [job.lease]);
  await advance(20 * SECOND);
  assert.deepEqual(await again.rest(), [], "it counts as held");
  assert.deepEqual(await again.ask("done", held(job)), {});
});

test("Q13 after unconsume no job comes, and those in hand can be done", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway, { in_flight: 2 });
  await gateway.publish("jobs:a", 1);
  const job = await client.next("job");
  assert.deepEqual(await client.ask("unconsume", { queue: "jobs:a" }), {});
  await gateway.publish("jobs:a", 2);
  await gateway.clock.advance(5 * SECOND);
  assert.deepEqual(await client.rest(), []);
  assert.deepEqual(await client.ask("done", held(job)), {});
  await client.ask("consume", { queue: "jobs:a" });
  assert.equal((await client.next("job")).data, 2);
});

test("Q13, D4 a drain pushes no further jobs, and those in hand go on elsewhere", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway, { in_flight: 2 });
  await gateway.publish("jobs:a", 1);
  await client.next("job");
  const drained = gateway.gateway.drain(0);
  await gateway.publish("jobs:a", 2);
  await drained;
  assert.equal((await client.closed)?.code, 3001);
  assert.deepEqual(await client.rest(), []);
  const { groups } = (await gateway.namespace("jobs:a").queue?.jobs.info("jobs:a")) ?? { groups: [] };
  assert.deepEqual(
    groups.map(({ ready, leased }) => [ready, leased]),
    [[1, 1]],
  );
});

test("Q14 the results of a job are stored with its end, and a zombie's are not", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway, { lease_ms: SECOND, in_flight: 2 });
  await gateway.publish("jobs:a", 1);
  const zombie = await client.next("job");
  await gateway.clock.advance(2 * SECOND + 1);
  const second = await client.next("job");
  const publish = [
    { channel: "results", data: "thumbnail", tags: { k: "v" } },
    { channel: "jobs:next", data: 2 },
  ];
  assert.equal((await client.refused("done", { ...held(zombie), publish })).code, 406);
  await client.ask("done", { ...held(second), publish });
  const { publications } = await client.ask("history", { channel: "results", limit: 10 });
  assert.deepEqual(
    publications.map(({ data, tags }) => [data, tags]),
    [["thumbnail", { k: "v" }]],
  );
  assert.equal((await gateway.namespace("jobs:next").queue?.jobs.info("jobs:next"))?.jobs, 1);
});

test("Q14 a result that may not be published or cannot be kept leaves the job as it is", async (t) => {
  const gateway = await open(t, { namespaces: { closed: { retention: { messages: 5 } } } });
  const client = await consumer(gateway);
  await gateway.publish("jobs:a", 1);
  const job = held(await client.next("job"));
  const done = (channel: string): Promise<{ code: number }> =>
    client.refused("done", { ...job, publish: [{ channel, data: 1 }] });
  assert.equal((await done("closed:a")).code, 103);
  assert.equal((await done("unknown:a")).code, 102);
  assert.equal((await done("live:a")).code, 108);
  assert.deepEqual(await client.ask("done", job), {});
});

test("Q15 a publish to a queue is answered, recognised by its key, held back and forgotten", async (t) => {
  const gateway = await open(t);
  const client = await gateway.connect();
  const publish = { channel: "jobs:a", data: 1, key: "k" };
  assert.deepEqual(await client.ask("publish", publish), {});
  assert.deepEqual(await client.ask("publish", publish), { duplicate: true });
  await client.ask("publish", { channel: "jobs:a", data: "old", ttl: SECOND });
  await gateway.clock.advance(SECOND);
  await client.ask("publish", { channel: "jobs:a", data: "later", deliver_at: gateway.clock.now() + MINUTE });
  await client.ask("consume", { queue: "jobs:a", in_flight: 10 });
  const first = await client.next("job");
  assert.equal(first.data, 1);
  await client.ask("done", held(first));
  assert.deepEqual(await client.rest(), []);
  await gateway.clock.advance(MINUTE);
  assert.deepEqual(await dataOf(client, 1), ["later"]);
  assert.equal((await client.refused("publish", { channel: "chat", data: 1, ttl: 5 })).code, 108);
  assert.equal((await client.refused("publish", { channel: "chat", data: 1, deliver_at: 5 })).code, 108);
});

test("Q16 a queue has no subscribers, no history and no presence", async (t) => {
  const gateway = await open(t, {
    namespaces: { jobs: { subscribe: "any", history: "any", presence: "any", consume: "any", queue: {} } },
  });
  const client = await gateway.connect();
  assert.equal((await client.refused("subscribe", { channel: "jobs:a" })).code, 108);
  assert.equal((await client.refused("history", { channel: "jobs:a", limit: 1 })).code, 108);
  assert.equal((await client.refused("presence", { channel: "jobs:a" })).code, 108);
  assert.equal((await client.refused("presence_stats", { channel: "jobs:a" })).code, 108);
});

test("Q17 every group gets every job, also the one that comes later", async (t) => {
  const gateway = await open(t);
  const a = await consumer(gateway, { group: "a", in_flight: 5 });
  await gateway.publishNumbers("jobs:a", 1, 3);
  assert.deepEqual(await dataOf(a, 3), [1, 2, 3]);
  const b = await consumer(gateway, { group: "b", in_flight: 5 });
  assert.deepEqual(await dataOf(b, 3), [1, 2, 3]);
});

test("Q18 outcomes for a queue that was never consumed", async (t) => {
  const gateway = await open(t);
  const client = await consumer(gateway);
  const lease = { queue: "jobs:a", group: "other", lease: "1-x" };
  for (const method of ["done", "fail", "extend", "unconsume"] as const) {
    assert.equal((await client.refused(method, lease)).code, 107, method);
  }
});

test("a backbone that cannot be reached is asked again, and the jobs come", async (t) => {
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  await backbone.open();
  const gateway = await open(t, { clock, backbone });
  const client = await consumer(gateway);
  await backbone.close();
  await clock.advance(5 * SECOND);
  await backbone.open();
  await gateway.publish("jobs:a", 1);
  await clock.advance(2 * SECOND);
  assert.deepEqual(await dataOf(client, 1), [1]);
  assert.ok(gateway.failures.length > 0);
});
