/** The page at `/` as a visitor uses it: what stands in a lane, and the deeds by their labels. */
import type { Page } from "playwright-core";
import type { Counts } from "./browser/tally.ts";

export const TICKER = "ticker:demo";
export const CHAT = "chat:demo";
export const ORDERS = "orders:demo";
export const ALL: readonly string[] = [TICKER, CHAT, ORDERS];

/** Opens the page without its welcome, and waits until all three channels are subscribed to. */
export async function enter(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/?quiet`);
  await subscribed(page);
}

/** Resolves when all three channels are subscribed to. */
export async function subscribed(page: Page): Promise<void> {
  for (const channel of ALL) await page.waitForSelector(`[data-channel="${channel}"][data-state="subscribed"]`);
}

export async function press(page: Page, name: string | RegExp): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

/** A button inside one lane. */
export async function pressIn(page: Page, channel: string, name: string): Promise<void> {
  await page.locator(`[data-channel="${channel}"]`).getByRole("button", { name, exact: true }).click();
}

export async function flip(page: Page, name: string | RegExp): Promise<void> {
  await page.getByRole("switch", { name }).click();
}

/** Resolves when the lane's counters read as expected; rejects with what they read instead. */
export async function counts(page: Page, channel: string, expected: Partial<Counts>): Promise<void> {
  const read = (): Promise<Record<string, number>> =>
    page.$$eval(`[data-channel="${channel}"] [data-count]`, (numbers) =>
      Object.fromEntries(
        numbers.map((number) => [number.getAttribute("data-count") ?? "", Number(number.textContent)]),
      ),
    );
  try {
    await page.waitForFunction(
      ([name, wanted]) =>
        Object.entries(wanted).every(
          ([count, value]) =>
            document.querySelector(`[data-channel="${name}"] [data-count="${count}"]`)?.textContent === String(value),
        ),
      [channel, expected] as const,
    );
  } catch (error) {
    throw new Error(
      `${channel} counts ${JSON.stringify(await read())}, not ${JSON.stringify(expected)}; its tape: ${JSON.stringify(await tape(page, channel))}`,
      { cause: error },
    );
  }
}

/** What stands on the tape, one text per entry: offset, words, remarks. */
export async function tape(page: Page, channel: string): Promise<readonly string[]> {
  return page.$$eval(`[data-channel="${channel}"] .tape > li:not([hidden])`, (entries) =>
    entries.map((entry) => [...entry.children].map((part) => part.textContent).join(" | ")),
  );
}

/** Resolves when the last message on the lane's tape has been acknowledged on the wire. */
export async function acknowledged(page: Page, channel: string): Promise<void> {
  await page.waitForFunction((name) => {
    const last = [...document.querySelectorAll(`[data-channel="${name}"] .message .offset`)].at(-1)?.textContent;
    return [...document.querySelectorAll("#wire .sent code")].some(({ textContent }) => {
      const { ack } = JSON.parse(textContent) as { ack?: { channel: string; offset: number } };
      return ack?.channel === name && String(ack.offset) === last;
    });
  }, channel);
}
