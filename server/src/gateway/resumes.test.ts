/** Many clients that resume at the same moment, as when a gateway was lost. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { withFaults } from "../backbones/faulty.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { numbers, openGateway, type ConnectedClient, type TestGateway } from "../test-gateway.ts";

/** Of the first of two messages in each channel: with it as much is read as is expected of a channel at first. */
const DATA = "x".repeat(32 * 1024);
const CLIENTS = 80;
/** So many may be read in one turn of the event loop. */
const AT_ONCE = 4;

interface Storm {
  readonly gateway: TestGateway;
  /** Clients that are connected, and have not resumed; the `i`th is to follow the channel `i`. */
  readonly clients: readonly ConnectedClient[];
  /** Channels whose log was read, in that order. */
  readonly read: string[];
  /** The most reads in one turn of the event loop. */
  readonly most: () => number;
  /** Sends the `i`th client's subscribe to a channel, as of before its first message. */
  readonly resume: (i: number, channel?: string) => void;
}

/** The log is read once `answer` is there. */
async function storm(context: TestContext, answer?: Promise<void>): Promise<Storm> {
  const clock = new ManualClock();
  const memory = new MemoryBackbone({}, clock);
  await memory.open();
  const read: string[] = [];
  let now = 0;
  let most = 0;
  const backbone = withFaults(memory, (call, go, channel) => {
    if (call === "log.read") {
      read.push(String(channel));
      if (now++ === 0) setImmediate(() => (now = 0));
      most = Math.max(most, now);
      if (answer) return answer.then(go);
    }
    return go();
  });
  const gateway = await openGateway(context, { clock, backbone });
  let epoch = "";
  for (const channel of ["shared", ...numbers(0, CLIENTS - 1).map(String)]) {
    await gateway.publish(channel, DATA);
    ({ epoch = "" } = await gateway.publish(channel, `last of ${channel}`));
  }
  const clients = await Promise.all(numbers(1, CLIENTS).map(() => gateway.connect({ plain: true })));
  const resume = (i: number, channel = String(i)): void =>
    clients[i]?.send({ id: 100, subscribe: { channel, recover: true, offset: 0, epoch } });
  return { gateway, clients, read, most: () => most, resume };
}

/** The data of what a client was given in the answer. */
async function recovered(client: ConnectedClient | undefined): Promise<unknown> {
  const reply = await client?.reply(100);
  return reply?.subscribe?.publications?.map(({ data }) => data);
}

test("those who resume at the same moment are read for in turns, and each is given everything", async (t) => {
  const { clients, read, most, resume } = await storm(t);
  numbers(0, CLIENTS - 1).forEach((i) => resume(i));
  for (const [i, client] of clients.entries()) assert.deepEqual(await recovered(client), [DATA, `last of ${i}`]);
  assert.deepEqual(read, numbers(0, CLIENTS - 1).map(String));
  // Where a turn of the event loop ends for this test it may not have ended yet for the gateway.
  assert.ok(most() <= 2 * AT_ONCE, `${most()} in one turn`);
});

test("for those who are gone when it is their turn nothing is read, and the others' turn comes", async (t) => {
  const { clients, read, resume } = await storm(t);
  numbers(0, CLIENTS - 1).forEach((i) => resume(i));
  const gone = new Set(numbers(AT_ONCE, CLIENTS - 2));
  for (const i of gone) clients[i]?.cut();
  assert.deepEqual(await recovered(clients.at(-1)), [DATA, `last of ${CLIENTS - 1}`]);
  await settle();
  assert.deepEqual(
    read.filter((channel) => gone.has(Number(channel))),
    [],
  );
});

test("those who resume at the same place share one read, also when they had to wait for it", async (t) => {
  const { clients, read, resume } = await storm(t);
  const others = CLIENTS / 2;
  for (let i = 0; i < CLIENTS; i++) resume(i, i < others ? String(i) : "shared");
  for (const client of clients.slice(others)) assert.deepEqual(await recovered(client), [DATA, "last of shared"]);
  assert.equal(read.filter((channel) => channel === "shared").length, 1);
});

test("the channels of one connection are read side by side: none waits for the answer to another", async (t) => {
  const answer = Promise.withResolvers<void>();
  const { clients, read, resume } = await storm(t, answer.promise);
  const [client] = clients;
  const channels = numbers(0, CLIENTS / 4);
  for (const i of channels) resume(0, String(i));
  await settle(channels.length);
  assert.deepEqual(read, channels.map(String));
  answer.resolve();
  for (const i of channels) assert.deepEqual(await recovered(client), [DATA, `last of ${i}`]);
});
