/**
 * Makes the pictures of the pages for the README and the examples: `node --conditions=source scripts/screenshot.ts [FOLDER]`. Into
 * another folder than docs/images it also puts how the pages look on a phone and in the dark.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { startBank } from "../examples/payments/bank.ts";
import { startThumbnails } from "../examples/thumbnails/thumbnails.ts";
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

await thumbnails("thumbnails", { viewport: { width: 1100, height: 875 } });
if (folder !== IMAGES) {
  await thumbnails("thumbnails-dark", { viewport: { width: 1100, height: 875 }, colorScheme: "dark" });
  await thumbnails("thumbnails-phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
}

await payments("payments", { viewport: { width: 1100, height: 1010 } });
if (folder !== IMAGES) {
  await payments("payments-dark", { viewport: { width: 1100, height: 1010 }, colorScheme: "dark" });
  await payments("payments-phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
}

/** A book of which Kafka has only the end, one process killed, and more under way. */
async function payments(name: string, look: Parameters<Visitors["visitor"]>[0]): Promise<void> {
  const bank = await startBank({ port: 0 });
  try {
    const context = await visitors.visitor(look);
    const page = await context.newPage();
    while (
      !(await fetch(bank.url).then(
        ({ ok }) => ok,
        () => false,
      ))
    )
      await after(100);
    await page.goto(bank.url);
    await page.getByText("€60,000.00").waitFor();
    const random = page.getByRole("button", { name: "20 at random" });
    const entries = (count: number): Promise<unknown> =>
      page.waitForFunction((least) => document.querySelectorAll("#book li").length >= least, count);
    await random.click();
    await entries(21);
    while (!(await page.locator('#book li[data-from="postgres"]').count())) {
      await page.getByRole("button", { name: "Have Kafka forget" }).click();
      await after(500);
    }
    await random.click();
    await entries(28);
    await page.getByRole("button", { name: "Kill Ledger" }).click();
    await page.getByText(/after 1 that died/).waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: path.join(folder, `${name}.jpg`), type: "jpeg", quality: 82 });
    await context.close();
  } finally {
    await bank.close();
  }
}

/** A broken picture given up, others done, one worker killed, and work under way. */
async function thumbnails(name: string, look: Parameters<Visitors["visitor"]>[0]): Promise<void> {
  const data = mkdtempSync(path.join(tmpdir(), "todoku-screenshot-"));
  const example = await startThumbnails({ port: 0, folder: data, paceMs: 700 });
  try {
    const context = await visitors.visitor(look);
    const page = await context.newPage();
    await page.goto(example.url);
    const broken = { name: "broken.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture") };
    await page.locator("#files").setInputFiles([broken]);
    await page.getByText(/given up after/).waitFor();
    await page.getByRole("button", { name: /No pictures at hand/ }).click();
    await page.locator('#pictures li[data-state="working"]').nth(3).waitFor();
    await page.getByRole("button", { name: "Kill" }).first().click();
    await page.locator('#pictures li[data-state="done"]').nth(5).waitFor();
    await page.locator('#pictures li[data-state="working"]').nth(1).waitFor();
    await page.screenshot({ path: path.join(folder, `${name}.jpg`), type: "jpeg", quality: 82 });
    await context.close();
  } finally {
    await example.close();
    rmSync(data, { recursive: true, force: true });
  }
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
