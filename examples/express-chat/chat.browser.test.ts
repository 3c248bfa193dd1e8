/** Two visitors of the chat in a real browser. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { Visitors } from "../../server/src/page/browser-visit.ts";
import { startChat } from "./chat.ts";

async function comeIn(page: Page, url: string, name: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Come in" }).click();
  await page.getByText(`You are ${name}.`).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

test("two visitors see each other and what they say; text stays text; a reload brings the history", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-chat-"));
  t.after(() => rm(folder, { recursive: true }));
  const chat = await startChat({ port: 0, folder });
  t.after(() => chat.close());
  await using visitors = await Visitors.launch();
  const ann = await (await visitors.visitor()).newPage();
  const ben = await (await visitors.visitor()).newPage();

  await ann.goto(chat.url);
  await ann.getByLabel("Your name").fill("<b>");
  await ann.getByRole("button", { name: "Come in" }).click();
  await ann.getByText("A name has 1 to 24").waitFor();
  // The refused name is a 400, which the browser reports.
  visitors.complaints.length = 0;

  await comeIn(ann, chat.url, "Ann");
  await say(ann, "is anybody here?");
  await comeIn(ben, chat.url, "Ben");
  await ben.getByText("Ann: is anybody here?").waitFor();
  await ann.getByText("Here: Ann, Ben").waitFor();
  await say(ben, '<img src=x onerror="alert(1)">');
  await ann.getByText('Ben: <img src=x onerror="alert(1)">').waitFor();

  await ben.reload();
  await ann.getByText("Here: Ann", { exact: true }).waitFor();
  await comeIn(ben, chat.url, "Ben");
  await ben.getByRole("listitem").nth(1).waitFor();
  assert.equal(await ben.getByRole("listitem").count(), 2);
  assert.deepEqual(visitors.complaints, []);
});
