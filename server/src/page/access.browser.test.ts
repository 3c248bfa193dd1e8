import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import { ServerProcess } from "../../../tests/server-process.ts";
import { Visitors, type Page } from "./browser-visit.ts";
import { ALL, counts, CHAT, press, subscribed } from "./play.ts";

/** Widths in CSS pixels: the smallest phone in use, a common one, a tablet, and just above each change of layout. */
const WIDTHS = [320, 390, 801, 900, 1201, 1440];

describe("the page is for everyone", { timeout: 120_000 }, () => {
  let visitors: Visitors;
  let server: ServerProcess;

  before(async () => {
    [visitors, server] = await Promise.all([Visitors.launch(), ServerProcess.start("dev")]);
  });

  after(async () => {
    await visitors[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** With something of everything on it: messages, lost ones, a connection that is cut. */
  async function visit(options: Parameters<Visitors["visitor"]>[0]): Promise<Page> {
    // axe brings its own script into the page, which the page's policy rightly forbids.
    const page = await (await visitors.visitor({ ...options, bypassCSP: true })).newPage();
    await page.goto(server.url);
    for (const channel of ALL) await counts(page, channel, { received: 3 });
    await press(page, "Cut my connection");
    await press(page, "Publish 3 from outside");
    await counts(page, CHAT, { waiting: 3 });
    return page;
  }

  for (const colorScheme of ["light", "dark"] as const) {
    test(`axe finds nothing to object to, in ${colorScheme} colours`, async () => {
      const page = await visit({ colorScheme });
      await page.addScriptTag({ content: axe.source });
      const violations = await page.evaluate(async () => {
        const { axe: runner } = globalThis as unknown as { axe: typeof axe };
        const found = await runner.run(document, { resultTypes: ["violations"] });
        return found.violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map(({ html }) => html) }));
      });
      assert.deepEqual(violations, []);
      await page.context().close();
    });
  }

  test("nothing is wider than the screen, whatever its width", async () => {
    const page = await visit({});
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const { scrolled, wide } = await page.evaluate(() => ({
        scrolled: document.documentElement.scrollWidth,
        wide: [...document.querySelectorAll("button, a, input, p, h1, h2, h3, li, pre")]
          .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 1)
          .map(({ outerHTML }) => outerHTML.slice(0, 100)),
      }));
      assert.deepEqual({ width, scrolled, wide }, { width, scrolled: width, wide: [] });
    }
    await page.context().close();
  });

  test("everything can be reached and done with the keyboard", async () => {
    const page = await (await visitors.visitor()).newPage();
    await page.goto(`${server.url}/?quiet`);
    await subscribed(page);
    const focused = (): Promise<string> =>
      page.evaluate(() => {
        const { activeElement: at } = document;
        return (
          at?.getAttribute("aria-label") ??
          (at instanceof HTMLInputElement ? at.labels?.[0]?.textContent : at?.textContent) ??
          ""
        );
      });
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the messages");
    await page.keyboard.press("Tab");
    assert.equal((await focused()).trim(), "Message");
    await page.keyboard.type(" from the keyboard");
    await page.keyboard.press("Enter");
    for (const channel of ALL) await counts(page, channel, { received: 1 });
    const reached = new Set<string>();
    for (let presses = 0; presses < 80; presses++) {
      await page.keyboard.press("Tab");
      reached.add((await focused()).trim());
    }
    for (const name of [
      "Cut my connection",
      "Reload the page",
      "lose my acknowledgements",
      "Open a second tab",
      "Leave",
      `Messages of ${CHAT}`,
      "Run it: Publish twice",
    ]) {
      assert.ok(reached.has(name), `${name} is not among ${[...reached].join(", ")}`);
    }
    await page.context().close();
  });

  test("the page asks nobody else for anything", async () => {
    const context = await visitors.visitor();
    const page = await context.newPage();
    const elsewhere: string[] = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url)) elsewhere.push(request.url());
    });
    const response = await page.goto(server.url);
    for (const channel of ALL) await counts(page, channel, { received: 3 });
    assert.deepEqual(elsewhere, []);
    const policy = response?.headers()["content-security-policy"] ?? "";
    assert.match(policy, /^default-src 'none';/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    await context.close();
  });

  test("nothing was complained about in the console", () => {
    assert.deepEqual(visitors.complaints, []);
  });
});
