import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, settle } from "../manual-clock.ts";
import { Backlog } from "./backlog.ts";
import { Flusher, Outbox } from "./outbox.ts";
import { SharedPublication } from "./shared-publication.ts";
import type { Payload, Socket } from "./socket.ts";

const text = (frame: Uint8Array): string => new TextDecoder().decode(frame);
const frame = (content: string): Uint8Array => new TextEncoder().encode(content);

/** A socket that keeps what it is sent. */
class KeepingSocket implements Socket {
  readonly sent: Uint8Array[] = [];
  bufferedBytes = 0;

  send({ bytes }: Payload): void {
    this.sent.push(bytes);
  }
  close(): void {}
  terminate(): void {}
}

function outboxes(count: number, limit = 100): { outbox: Outbox; socket: KeepingSocket; rooms: number[] }[] {
  const clock = new ManualClock();
  const backlog = new Backlog(Number.POSITIVE_INFINITY);
  const flusher = new Flusher(clock, backlog, () => {});
  return Array.from({ length: count }, () => {
    const socket = new KeepingSocket();
    const rooms: number[] = [];
    return {
      socket,
      rooms,
      outbox: new Outbox(socket, { flusher, backlog }, limit, { hasRoomAgain: () => rooms.push(rooms.length) }),
    };
  });
}

test("a publication is encoded once per encoding, and its bytes are shared by all", () => {
  const publication = new SharedPublication("a", { id: "m1", time: 5, data: '{"x":1}' }, { epoch: "e", offset: 7 }, 6);
  assert.equal(publication.bytes("extended"), publication.bytes("extended"));
  assert.equal(publication.bytes("plain"), publication.bytes("plain"));
  assert.equal(text(publication.bytes("plain")), '{"push":{"channel":"a","pub":{"data":{"x":1},"offset":7}}}');
  assert.equal(
    text(publication.bytes("extended")),
    '{"push":{"channel":"a","pub":{"data":{"x":1},"offset":7,"id":"m1","time":5,"prev":6}}}',
  );
});

test("everything of a turn leaves as one write, and connections with the same frames share the joined bytes", async () => {
  const [one, two, three] = outboxes(3);
  const [first, second] = [frame("1"), frame("22")];
  for (const each of [one, two]) for (const bytes of [first, second]) each?.outbox.push(bytes);
  three?.outbox.push(second);
  assert.equal(one?.socket.sent.length, 0);
  await settle();
  assert.deepEqual(one?.socket.sent.map(text), ["1\n22"]);
  assert.equal(one?.socket.sent[0], two?.socket.sent[0]);
  assert.equal(three?.socket.sent[0], second, "one frame is not even copied");
  one?.outbox.push(first);
  await settle();
  assert.deepEqual(one?.socket.sent.map(text), ["1\n22", "1"]);
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
  assert.deepEqual(one?.socket.sent.map(text), ["bye"]);
});
