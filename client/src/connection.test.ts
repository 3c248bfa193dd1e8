/** One WebSocket with a peer whose every word the test says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, settle } from "../../server/src/manual-clock.ts";
import { commandsOf, type Line, type MemoryNetwork } from "../tests/memory-network.ts";
import { scriptedServer } from "../tests/scripted-server.ts";
import { Connection, type ConnectionEvents } from "./connection.ts";

test("F1, K21 commands of one turn travel in one frame, and frames keep below their bounds", async () => {
  const { connection, line } = await opened();
  for (let i = 0; i < 600; i++) connection.tell("send", { data: i });
  for (let i = 0; i < 20; i++) connection.tell("send", { data: "x".repeat(10_000) });
  connection.tell("send", { data: "y".repeat(100_000) });
  connection.tell("send", { data: "last" });
  await settle();
  const frames = line.sent.map(commandsOf);
  assert.deepEqual(
    frames
      .flat()
      .map(({ send }) => send?.["data"])
      .slice(0, 600),
    Array.from({ length: 600 }, (_, i) => i),
  );
  assert.equal(frames.flat().at(-1)?.["send"]?.["data"], "last");
  assert.ok(frames.length < 10, `${frames.length} frames`);
  for (const [i, frame] of frames.entries()) {
    assert.ok(frame.length <= 1000);
    assert.ok(frame.length === 1 || Buffer.byteLength(line.sent[i] ?? "") <= 256 * 1024);
  }
});

test("K5 fields, pushes and replies that it does not know trouble nobody", async () => {
  const pushes: unknown[] = [];
  const { connection, line } = await opened({ push: (push) => pushes.push(push) });
  const asking = connection.request("rpc", { method: "a" });
  line.send(
    '{"id":77,"rpc":{}}\n{"id":1,"rpc":{"data":5,"later":true},"also":{}}\n{"push":{"channel":"a","novelty":{}}}',
  );
  line.send('{"novelty":{"id":1}}');
  line.send("");
  assert.deepEqual(await asking, { data: 5, later: true });
  await settle();
  assert.deepEqual(pushes, [{ channel: "a", novelty: {} }]);
  assert.ok(line.open);
});

test("K4 a ping is answered at once, where the server asked for that", async () => {
  const { connection, line } = await opened();
  line.send("{}");
  await settle();
  assert.deepEqual(line.sent, []);
  connection.watch(25_000, true);
  line.send("{}");
  await settle();
  assert.deepEqual(line.sent, ["{}"]);
});

test("K4 anything that is heard counts as life; silence of 10 s more than the ping interval ends it", async () => {
  const ends: unknown[] = [];
  const { clock, connection, line } = await opened({ ended: (...end) => ends.push(end) });
  connection.watch(25_000, true);
  for (let i = 0; i < 4; i++) {
    await clock.advance(34_000);
    line.send('{"push":{"channel":"a","pub":{"data":1}}}');
    await settle();
  }
  assert.deepEqual(ends, []);
  await clock.advance(34_900);
  assert.deepEqual(ends, []);
  await clock.advance(200);
  assert.deepEqual(ends, [[1006, "nothing was heard for 35000 ms"]]);
});

test("K13 what is asked fails when the connection is lost, or after the time limit", async () => {
  const { clock, connection, line } = await opened();
  const slow = connection.request("rpc", {});
  slow.catch(() => {});
  await clock.advance(10_000);
  await assert.rejects(slow, { reason: "unreachable", message: /rpc was not answered within 10000 ms/ });
  const lost = connection.request("rpc", {});
  lost.catch(() => {});
  line.cut();
  await assert.rejects(lost, { reason: "unreachable", message: /lost/ });
  await assert.rejects(connection.request("rpc", {}), { reason: "unreachable" });
  assert.equal(clock.waiting, 0);
});

test("a frame that cannot be read ends the connection as a broken wire", async () => {
  const ends: unknown[] = [];
  const { line } = await opened({ ended: (code) => ends.push(code) });
  line.send('{"push":{"channel":"a","pub":{"data":1}}}\n{"push":');
  await settle();
  assert.deepEqual(ends, [1006]);
  assert.ok(!line.open);
});

test("a socket that does not open in time is given up", async () => {
  const clock = new ManualClock();
  const network = scriptedServer();
  const ends: unknown[] = [];
  network.unanswered = true;
  open(clock, network, { ended: (code) => ends.push(code) });
  await clock.advance(10_000);
  assert.deepEqual(ends, [1006]);
});

test("an error is what the server said, known to the table or not", async () => {
  const { connection, line } = await opened();
  const known = connection.request("rpc", {});
  line.send('{"id":1,"error":{"code":111,"message":"too many requests: slowly","temporary":true}}');
  await assert.rejects(known, { name: "TodokuError", code: 111, reason: "too_many_requests", retry: "retry" });
  const fresh = connection.request("rpc", {});
  line.send('{"id":2,"error":{"code":499,"message":"of a newer server","temporary":true}}');
  await assert.rejects(fresh, { code: 499, reason: "unknown", retry: "retry", message: "of a newer server" });
});

function open(clock: ManualClock, network: MemoryNetwork, events: Partial<ConnectionEvents>): Connection {
  const silent = { opened: () => {}, push: () => {}, ended: () => {} };
  return new Connection(
    { url: "ws://server", WebSocket: network.WebSocket, clock, timeoutMs: 10_000 },
    { ...silent, ...events },
  );
}

async function opened(
  events: Partial<ConnectionEvents> = {},
): Promise<{ clock: ManualClock; connection: Connection; line: Line }> {
  const clock = new ManualClock();
  const network = scriptedServer(() => null);
  const connection = open(clock, network, events);
  await settle();
  return { clock, connection, line: network.line };
}
