import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { ServerProcess } from "../../../tests/server-process.ts";
import { Visitors, type Page } from "./browser-visit.ts";
import { acknowledged, ALL, CHAT, counts, enter, flip, ORDERS, press, subscribed, tape, TICKER } from "./play.ts";

/** A browser writes these to the console when a server is gone, whatever the page does. */
const SERVER_GONE = /WebSocket connection to|ERR_CONNECTION_REFUSED/;
/** Counters of a lane on which nothing went wrong. */
const QUIET = { lost: 0, repeated: 0, gaps: 0, waiting: 0 };

describe("what the page offers to try", { timeout: 180_000 }, () => {
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
    const page = await (await visitors.visitor({}, SERVER_GONE)).newPage();
    await enter(page, server.url);
    return page;
  }

  const run = (page: Page, title: string): Promise<void> => press(page, `Run it: ${title}`);

  test("going away loses at most once, and nothing else", async () => {
    const page = await visit();
    await run(page, "Go away for a moment");
    for (const channel of [CHAT, ORDERS]) await counts(page, channel, { ...QUIET, sent: 3, received: 3 });
    await counts(page, TICKER, { sent: 3, received: 0, lost: 3 });
    assert.ok((await tape(page, CHAT)).some((entry) => /News 1 of 3 \| someone else · waited/.test(entry)));
    assert.equal(await page.textContent("#connection"), "connected");
    await page.context().close();
  });

  test("losing acknowledgements repeats at least once, and nothing else", async () => {
    const page = await visit();
    await run(page, "Lose the acknowledgements");
    await counts(page, CHAT, { lost: 0, received: 2, repeated: 2, waiting: 0 });
    await counts(page, ORDERS, { ...QUIET, received: 2 });
    await counts(page, TICKER, { ...QUIET, received: 2 });
    await page.getByText("The server sent again what it thought you lacked").waitFor();
    assert.equal(await page.isChecked("#lose-acks"), false);
    await page.context().close();
  });

  test("publishing twice is stored twice at least once, and once exactly once", async () => {
    const page = await visit();
    await run(page, "Publish twice");
    await counts(page, CHAT, { sent: 1, received: 1, repeated: 1, waiting: 0 });
    await page.getByText("second publish recognised").waitFor();
    await counts(page, ORDERS, { ...QUIET, sent: 1, received: 1 });
    await page.context().close();
  });

  test("a handler that fails ends among the dead letters, and its tab can tell", async () => {
    const page = await visit();
    await run(page, "Let the handler fail");
    assert.equal(await page.getByRole("switch", { name: /my handler fails/ }).isChecked(), true);
    await page.getByText("Dead letters: 1").waitFor();
    await counts(page, ORDERS, { sent: 1, received: 0, lost: 0, gaps: 1, waiting: 0 });
    await page.getByText("Dead letters: 1").click();
    await page.getByText("This one is cursed given up after 5 attempts").waitFor();
    await page.context().close();
  });

  test("leaving and coming back misses nothing where a place is kept", async () => {
    const page = await visit();
    await run(page, "Leave and come back");
    for (const channel of [CHAT, ORDERS]) await counts(page, channel, { ...QUIET, sent: 3, received: 3 });
    await counts(page, TICKER, { sent: 3, received: 0, lost: 3 });
    await page.context().close();
  });

  test("what is sent while the connection is cut leaves when it is back", async () => {
    const page = await visit();
    await press(page, "Cut my connection");
    await press(page, "Send to all");
    await page.getByText("the SDK keeps 1 message and sends as soon as you are back").waitFor();
    for (const channel of ALL) await counts(page, channel, { ...QUIET, sent: 0, received: 0 });
    await press(page, "Connect again");
    for (const channel of ALL) await counts(page, channel, { ...QUIET, sent: 1, received: 1 });
    await page.context().close();
  });

  test("someone who publishes every second does so until switched off", async () => {
    const page = await visit();
    await flip(page, "and one every second");
    for (const channel of ALL) await counts(page, channel, { ...QUIET, sent: 2, received: 2 });
    await flip(page, "and one every second");
    await page.context().close();
  });

  test("a server that lost its data is told as a gap, in place, and everything goes on", async () => {
    const page = await visit();
    await press(page, "Send 10 quickly");
    for (const channel of ALL) await counts(page, channel, { received: 10 });
    for (const channel of [CHAT, ORDERS]) await acknowledged(page, channel);
    await server.kill();
    rmSync(path.join(server.folder, "todoku-data"), { recursive: true });
    await server.restart();
    await page.waitForSelector('.connection[data-state="connected"]');
    await subscribed(page);
    await press(page, "Send to all");
    await counts(page, TICKER, { ...QUIET, received: 11 });
    for (const channel of [CHAT, ORDERS]) {
      await counts(page, channel, { received: 11, lost: 0, repeated: 0, gaps: 1, waiting: 0 });
      const kinds = (await tape(page, channel)).map((entry) => entry.split(" | ")[1]);
      assert.equal(kinds.at(-2), "gap: the log began anew");
      assert.equal(kinds.at(-1), "Hello");
    }
    await page.context().close();
  });

  test("nothing was complained about in the console", () => {
    assert.deepEqual(visitors.complaints, []);
  });
});
