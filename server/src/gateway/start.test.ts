import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { numbers, openGateway } from "../test-gateway.ts";

test("S6 delivery begins right after the reply's position, whatever is published while the subscription is made", async (t) => {
  // A log that takes its time to say where it stands, so that messages come before, between and after.
  const clock = new ManualClock();
  const backbone = new MemoryBackbone({}, clock);
  await backbone.open();
  const heads = backbone.log.heads.bind(backbone.log);
  backbone.log.heads = async (channels) => {
    await settle(2);
    const answer = await heads(channels);
    await settle(2);
    return answer;
  };
  const gateway = await openGateway(t, { clock, backbone });
  const publisher = await gateway.connect();
  const pushed: number[] = [];
  for (const round of numbers(0, 11)) {
    const channel = `c${round}`;
    const reader = await gateway.connect();
    const id = reader.newId;
    for (const n of numbers(1, 12)) {
      if (n === round + 1) reader.send({ id, subscribe: { channel } });
      await publisher.ask("publish", { channel, data: n });
      await settle(1);
    }
    const { subscribe } = await reader.reply(id);
    const offset = subscribe?.offset ?? 0;
    const came = (await reader.rest()).map(({ push }) => push?.pub?.offset);
    assert.deepEqual(came, numbers(offset + 1, 12));
    pushed.push(came.length);
  }
  assert.ok(Math.max(...pushed) > 1 && Math.min(...pushed) < 12, `not all before or after: ${pushed.join(" ")}`);
});

test("S6 no push of the channel comes before the reply", async (t) => {
  const gateway = await openGateway(t);
  await gateway.publishNumbers("a", 1, 3);
  const reader = await gateway.connect();
  const id = reader.newId;
  reader.send(
    { id, subscribe: { channel: "a", start: "earliest" } },
    { id: id + 1, publish: { channel: "a", data: 4 } },
  );
  const replies = await reader.rest();
  assert.equal(replies[0]?.id, id);
  assert.deepEqual(
    replies.flatMap(({ push }) => push?.pub?.data ?? []),
    numbers(1, 4),
  );
});
