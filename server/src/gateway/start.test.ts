import assert from "node:assert/strict";
import { test } from "node:test";
import { numbers, openGateway } from "../test-gateway.ts";

test("S6 delivery begins right after the reply's position, whatever is published while the subscription is made", async (t) => {
  const gateway = await openGateway(t);
  const publisher = await gateway.connect();
  let pushed = 0;
  for (const round of numbers(1, 40)) {
    const channel = `c${round % 4}`;
    const reader = await gateway.connect();
    const id = reader.newId;
    const publishes = numbers(1, 6).map(async (n) => {
      if (n === (round % 6) + 1) reader.send({ id, subscribe: { channel } });
      await publisher.ask("publish", { channel, data: n });
    });
    await Promise.all(publishes);
    const came = await reader.rest();
    assert.equal(came[0]?.id, id, "no push of the channel comes before the reply");
    const start = came[0]?.subscribe?.offset ?? 0;
    const { offset: head } = await publisher.ask("history", { channel });
    assert.deepEqual(
      came.slice(1).map(({ push }) => push?.pub?.offset),
      start === head ? [] : numbers(start + 1, head),
    );
    pushed += head - start;
  }
  assert.ok(pushed > 0 && pushed < 240, "some came before, some after");
});
