/**
 * Makes the picture of the page for the README: `node --conditions=source scripts/screenshot.ts [FOLDER]`. Into another folder
 * than docs/images it also puts how the page looks on a phone and in the dark.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { Visitors, type Page } from "../server/src/page/browser-visit.ts";
import {
  acknowledged,
  ALL,
  CHAT,
  counts,
  flip,
  ORDERS,
  press,
  pressIn,
  subscribed,
  TICKER,
} from "../server/src/page/play.ts";
import { ServerProcess } from "../tests/server-process.ts";

const IMAGES = path.join(import.meta.dirname, "..", "docs", "images");
const folder = path.resolve(process.argv[2] ?? IMAGES);
mkdirSync(folder, { recursive: true });

await using server = await ServerProcess.start("dev");
await using visitors = await Visitors.launch();

await picture("page", { viewport: { width: 1440, height: 1090 } });

if (folder !== IMAGES) {
  await picture("page-dark", { viewport: { width: 1440, height: 1000 }, colorScheme: "dark" }, true);
  await picture("page-phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }, true);
  await picture("page-tablet", { viewport: { width: 900, height: 1100 } }, true);
}

async function picture(name: string, look: Parameters<Visitors["visitor"]>[0], whole = false): Promise<void> {
  const context = await visitors.visitor(look);
  const page = await context.newPage();
  await page.goto(server.url);
  for (const channel of ALL) await counts(page, channel, { received: 3 });
  await play(page);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: whole });
  await context.close();
}

/** Something of everything: away, back, repeated after a reload, a dead letter. */
async function play(page: Page): Promise<void> {
  await press(page, "Cut my connection");
  await press(page, "Publish 3 from outside");
  await counts(page, TICKER, { lost: 3 });
  await press(page, "Connect again");
  await counts(page, ORDERS, { received: 6 });
  for (const channel of [CHAT, ORDERS]) await acknowledged(page, channel);
  await flip(page, "lose my acknowledgements");
  await press(page, "Send to all");
  for (const channel of ALL) await counts(page, channel, { sent: 7, waiting: 0 });
  await press(page, "Reload the page");
  await subscribed(page);
  await counts(page, CHAT, { repeated: 1 });
  await flip(page, /my handler fails/);
  await pressIn(page, ORDERS, "Send");
  await page.getByText("Dead letters: 1").waitFor();
  await flip(page, /my handler fails/);
  await press(page, "Send to all");
  for (const channel of ALL) await counts(page, channel, { waiting: 0 });
}
