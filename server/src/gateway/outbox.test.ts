import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, settle } from "../manual-clock.ts";
import { Backlog } from "./backlog.ts";
import { Flusher, Outbox } from "./outbox.ts";
import { Parcel } from "./parcel.ts";
import { SharedPublication } from "./shared-publication.ts";
import type { Payload, Socket } from "./socket.ts";

const textOf = ({ text }: Payload): string => text;
const frame = (content: string): Parcel => new Parcel(content);

/** A socket that keeps what it is sent. */
class KeepingSocket implements Socket {
  readonly sent: Payload[] = [];
  bufferedBytes = 0;
  uncompressedBytes = 0;
  readonly #sending: () => void;

  constructor(sending: () => void) {
    this.#sending = sending;
  }

  send(payload: Payload): void {
    this.#sending();
    this.sent.push(payload);
  }
  close(): void {}
  terminate(): void {}
}

/** A clock on which sending takes time. */
class SlowClock extends ManualClock {
  sendMs = 0;
  #added = 0;

  override now(): number {
    return super.now() + this.#added;
  }
  spend(ms: number): void {
    this.#added += ms;
  }
}

function outboxes(
  count: number,
  { limit = 100, clock = new SlowClock(), backlog = new Backlog(Number.POSITIVE_INFINITY), shed = () => {} } = {},
): { outbox: Outbox; socket: KeepingSocket; rooms: number[] }[] {
  const flusher = new Flusher(clock, backlog, shed);
  return Array.from({ length: count }, () => {
    const socket = new KeepingSocket(() => clock.spend(clock.sendMs));
    const rooms: number[] = [];
    return {
      socket,
      rooms,
      outbox: new Outbox(socket, { flusher, backlog }, limit, { hasRoomAgain: () => rooms.push(rooms.length) }),
    };
  });
}

test("a publication is encoded once per encoding, and shared by all", () => {
  const publication = new SharedPublication("a", { id: "m1", time: 5, data: '{"x":1}' }, { epoch: "e", offset: 7 }, 6);
  assert.equal(publication.parcel("extended"), publication.parcel("extended"));
  assert.equal(publication.parcel("plain"), publication.parcel("plain"));
  assert.equal(publication.parcel("plain").text, '{"push":{"channel":"a","pub":{"data":{"x":1},"offset":7}}}');
  assert.equal(
    publication.parcel("extended").text,
    '{"push":{"channel":"a","pub":{"data":{"x":1},"offset":7,"id":"m1","time":5,"prev":6}}}',
  );
});

test("everything of a turn leaves as one write, and connections with the same frames share what is sent", async () => {
  const [one, two, three] = outboxes(3);
  const [first, second] = [frame("1"), frame("22")];
  for (const each of [one, two]) for (const parcel of [first, second]) each?.outbox.push(parcel);
  three?.outbox.push(second);
  assert.equal(one?.socket.sent.length, 0);
  await settle();
  assert.deepEqual(one?.socket.sent.map(textOf), ["1\n22"]);
  assert.equal(one?.socket.sent[0], two?.socket.sent[0]);
  assert.equal(three?.socket.sent[0], second, "one frame is what it was");
  one?.outbox.push(first);
  await settle();
  assert.deepEqual(one?.socket.sent.map(textOf), ["1\n22", "1"]);
});

test("there is room below the bound, and after a no only when half of it is free again", async () => {
  const [one] = outboxes(1);
  assert.ok(one);
  const { outbox, socket, rooms } = one;
  outbox.push(frame("x".repeat(99)));
  assert.equal(outbox.hasRoom(), true);
  outbox.push(frame("x"));
  assert.equal(outbox.hasRoom(), false);
  assert.equal(outbox.waitingBytes, 101, "with the newline between");
  socket.bufferedBytes = 101;
  await settle();
  assert.equal(outbox.hasRoom(), false);
  socket.bufferedBytes = 51;
  outbox.checkRoom();
  assert.deepEqual(rooms, []);
  socket.bufferedBytes = 50;
  outbox.checkRoom();
  outbox.checkRoom();
  assert.deepEqual(rooms, [0], "told once");
});

test("what is flushed for a close is not sent again at the end of the turn", async () => {
  const [one] = outboxes(1);
  one?.outbox.push(frame("bye"));
  one?.outbox.flush();
  await settle();
  assert.deepEqual(one?.socket.sent.map(textOf), ["bye"]);
});

/** Two connections that each get as many frames as said, by a flush in which each write takes 3 ms; then one frame more. */
async function afterSlowFlush(contents: readonly string[], limit = 1_000_000) {
  const clock = new SlowClock();
  clock.sendMs = 3;
  const [one, two] = outboxes(2, { limit, clock });
  assert.ok(one && two);
  for (const content of contents) for (const { outbox } of [one, two]) outbox.push(frame(content));
  await settle();
  assert.equal(one.socket.sent.length, 1);
  one.outbox.push(frame("next"));
  await settle();
  return { clock, one, arrived: () => one.socket.sent.length === 2 };
}

test("messages that come faster than they can be written gather for twice as long as the last flush took", async () => {
  const { clock, one, arrived } = await afterSlowFlush(["1", "2"]);
  one.outbox.push(frame("and more"));
  await clock.advance(11);
  assert.equal(arrived(), false);
  await clock.advance(1);
  assert.equal(one.socket.sent.map(textOf).at(-1), "next\nand more");
});

test("nothing gathers behind a flush of single messages, of large writes, or a short one", async () => {
  assert.equal((await afterSlowFlush(["1"])).arrived(), true);
  assert.equal((await afterSlowFlush(["1", "x".repeat(65_536)])).arrived(), true);
  const [one] = outboxes(1);
  for (const content of ["1", "2"]) one?.outbox.push(frame(content));
  await settle();
  one?.outbox.push(frame("next"));
  await settle();
  assert.equal(one?.socket.sent.length, 2);
});

test("nothing gathers for long, however long a flush took and whatever becomes of the clock", async () => {
  const { clock, one } = await afterSlowFlush(["1", "2"]);
  await clock.advance(12);
  clock.sendMs = 60_000;
  for (const content of ["3", "4"]) one.outbox.push(frame(content));
  await settle();
  one.outbox.push(frame("behind a minute"));
  clock.spend(-3_600_000);
  await clock.advance(19);
  assert.equal(one.socket.sent.length, 3);
  await clock.advance(1);
  assert.equal(one.socket.sent.map(textOf).at(-1), "behind a minute");
});

test("what a client had no turn to take yet, or what waits to be compressed, is no backlog; what it did not take is, until it is gone", async () => {
  const backlog = new Backlog(100);
  let shed = 0;
  const [reading, compressed, slow] = outboxes(3, { limit: 1000, backlog, shed: () => shed++ });
  assert.ok(reading && compressed && slow);
  for (const { outbox, socket } of [reading, compressed, slow]) {
    outbox.push(frame("x".repeat(200)));
    socket.bufferedBytes = 200;
  }
  compressed.socket.uncompressedBytes = 200;
  // Held over the end of the turn, as TLS does, and then taken.
  setImmediate(() => (reading.socket.bufferedBytes = 0));
  await settle();
  assert.deepEqual(
    [reading, compressed, slow].map(({ outbox }) => outbox.recount()),
    [0, 0, 200],
  );
  assert.equal(shed, 1);
  assert.deepEqual(
    [reading, compressed, slow].map(({ outbox }) => outbox.hasRoom()),
    [true, true, false],
  );
  slow.outbox.push(frame("more"));
  slow.outbox.gone();
  await settle();
  assert.equal(slow.outbox.recount(), 0);
  assert.equal(backlog.isFull, false);
});
