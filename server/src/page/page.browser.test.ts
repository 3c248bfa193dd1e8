import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ServerProcess } from "../../../tests/server-process.ts";
import { Visitors, type Page } from "./browser-visit.ts";
import {
  acknowledged,
  ALL,
  CHAT,
  counts,
  enter,
  flip,
  ORDERS,
  press,
  pressIn,
  subscribed,
  tape,
  TICKER,
} from "./play.ts";

/** A browser writes these to the console when a server is gone, whatever the page does. */
const SERVER_GONE = /WebSocket connection to|ERR_CONNECTION_REFUSED/;

describe("the page", { timeout: 180_000 }, () => {
  let visitors: Visitors;
  let server: ServerProcess;

  before(async () => {
    [visitors, server] = await Promise.all([Visitors.launch(), ServerProcess.start("dev")]);
  });

  after(async () => {
    await visitors[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  async function visit(): Promise<Page> {
    const page = await (await visitors.visitor()).newPage();
    await enter(page, server.url);
    return page;
  }

  /** All counters of a lane at zero but these. */
  const nothing = { lost: 0, repeated: 0, gaps: 0 };

  test("greets a newcomer with messages on all three channels", async () => {
    const page = await (await visitors.visitor()).newPage();
    await page.goto(server.url);
    for (const channel of ALL) await counts(page, channel, { ...nothing, sent: 3, received: 3 });
    assert.equal(await page.textContent("#connection"), "connected");
    assert.deepEqual(visitors.complaints.splice(0), []);
    await page.context().close();
  });

  test("ten messages sent quickly arrive once each, in order, with rising offsets", async () => {
    const page = await visit();
    await press(page, "Send 10 quickly");
    for (const channel of ALL) {
      await counts(page, channel, { ...nothing, sent: 10, received: 10 });
      const entries = await tape(page, channel);
      assert.deepEqual(
        entries.map((entry) => entry.split(" | ")[1]),
        Array.from({ length: 10 }, (_, i) => `Hello ${i + 1}`),
      );
      const offsets = entries.map((entry) => entry.split(" | ")[0]);
      if (channel === TICKER) assert.deepEqual(new Set(offsets), new Set(["–"]));
      else
        assert.deepEqual(
          offsets,
          offsets
            .map(Number)
            .toSorted((a, b) => a - b)
            .map(String),
        );
    }
    await page.context().close();
  });

  test("what one tab sends, the other one shows and counts", async () => {
    const first = await visit();
    const [second] = await Promise.all([
      first.context().waitForEvent("page"),
      first.getByRole("link", { name: "Open a second tab" }).click(),
    ]);
    await subscribed(second);
    await press(second, "Send to all");
    for (const page of [first, second]) {
      for (const channel of ALL) await counts(page, channel, { ...nothing, sent: 1, received: 1 });
    }
    assert.notEqual(await first.textContent("#tab"), await second.textContent("#tab"));
    await first.context().close();
  });

  test("while the connection is cut, at-most-once loses and the others keep", async () => {
    const page = await visit();
    await press(page, "Cut my connection");
    await press(page, "Publish 3 from outside");
    await counts(page, TICKER, { sent: 3, received: 0, lost: 3 });
    for (const channel of [CHAT, ORDERS]) await counts(page, channel, { sent: 3, received: 0, lost: 0, waiting: 3 });
    await press(page, "Connect again");
    for (const channel of [CHAT, ORDERS]) await counts(page, channel, { ...nothing, received: 3, waiting: 0 });
    await counts(page, TICKER, { received: 0, lost: 3, repeated: 0 });
    assert.ok((await tape(page, TICKER)).some((entry) => entry.includes("3 messages lost here")));
    await press(page, "Send to all");
    for (const channel of ALL) await counts(page, channel, { sent: 4, waiting: 0 });
    await page.context().close();
  });

  test("a server that is killed and started again lost nothing that it had accepted", async () => {
    const page = await (await visitors.visitor({}, SERVER_GONE)).newPage();
    await enter(page, server.url);
    await press(page, "Send to all");
    for (const channel of ALL) await counts(page, channel, { received: 1 });
    await server.kill();
    await page.waitForSelector('.connection[data-state="connecting"]');
    await server.restart();
    await page.waitForSelector('.connection[data-state="connected"]');
    await subscribed(page);
    await press(page, "Send to all");
    for (const channel of ALL) {
      await counts(page, channel, { ...nothing, sent: 2, received: 2 });
      const entries = await tape(page, channel);
      assert.ok(entries.some((entry) => entry.includes("the connection was lost")));
      assert.ok(entries.some((entry) => entry.includes("back after")));
    }
    await page.context().close();
  });

  test("after lost acknowledgements and a reload, at-least-once repeats and exactly-once does not", async () => {
    const page = await visit();
    await flip(page, "lose my acknowledgements");
    await press(page, "Send to all");
    for (const channel of ALL) await counts(page, channel, { received: 1 });
    await press(page, "Reload the page");
    await counts(page, CHAT, { lost: 0, received: 1, repeated: 1 });
    assert.ok((await tape(page, CHAT)).some((entry) => entry.includes("repeated · redelivered")));
    await subscribed(page);
    await press(page, "Send to all");
    for (const channel of [TICKER, ORDERS]) await counts(page, channel, { ...nothing, sent: 2, received: 2 });
    await page.context().close();
  });

  test("a reload with acknowledgements repeats nothing", async () => {
    const page = await visit();
    await press(page, "Send 10 quickly");
    for (const channel of ALL) await counts(page, channel, { received: 10 });
    for (const channel of [CHAT, ORDERS]) await acknowledged(page, channel);
    await press(page, "Reload the page");
    await subscribed(page);
    await press(page, "Send to all");
    for (const channel of [CHAT, ORDERS]) await counts(page, channel, { ...nothing, sent: 11, received: 11 });
    await page.context().close();
  });

  test("a message published twice under one key is stored twice at least once, and once exactly once", async () => {
    const page = await visit();
    await pressIn(page, CHAT, "Publish twice, same key");
    await counts(page, CHAT, { sent: 1, received: 1, repeated: 1 });
    await pressIn(page, ORDERS, "Publish twice, same key");
    await page.getByText("second publish recognised").waitFor();
    await pressIn(page, ORDERS, "Send");
    await counts(page, ORDERS, { ...nothing, sent: 2, received: 2 });
    await page.context().close();
  });

  test("a handler that fails sees the message again, later ones wait, and at last it is a dead letter", async () => {
    const page = await visit();
    await flip(page, /my handler fails/);
    await pressIn(page, ORDERS, "Send");
    await page.locator(`[data-channel="${ORDERS}"]`).getByText("attempt 5 of 5").waitFor();
    await page.locator(`[data-channel="${ORDERS}"]`).getByText("was given up").waitFor();
    await page.getByText("Dead letters: 1").waitFor();
    await flip(page, /my handler fails/);
    await pressIn(page, ORDERS, "Send");
    await counts(page, ORDERS, { sent: 2, received: 1, lost: 0, repeated: 0, gaps: 1, waiting: 0 });
    await page.context().close();
  });

  test("a durable subscription keeps its place while left, and forgets it when left for good", async () => {
    const page = await visit();
    await pressIn(page, CHAT, "Leave");
    await press(page, "Publish 3 from outside");
    await counts(page, CHAT, { sent: 3, received: 0, waiting: 3 });
    await pressIn(page, CHAT, "Come back");
    await counts(page, CHAT, { ...nothing, received: 3, waiting: 0 });
    await pressIn(page, CHAT, "Leave for good");
    await page.waitForSelector(`[data-channel="${CHAT}"][data-state="left"]`);
    await press(page, "Publish 3 from outside");
    await counts(page, ORDERS, { received: 6 });
    await pressIn(page, CHAT, "Come back");
    await subscribed(page);
    await pressIn(page, CHAT, "Send");
    await counts(page, CHAT, { ...nothing, received: 4, waiting: 0 });
    await page.context().close();
  });

  test("nothing that the pages did was complained about in the console", () => {
    assert.deepEqual(visitors.complaints, []);
  });
});
