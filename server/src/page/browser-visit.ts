/** A real browser for the tests of pages: one process, a fresh profile per visitor, everything it complains about kept. */
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";
import { CHROMIUM_ARGS, chromiumPath } from "../../../scripts/chromium.ts";

export type { Page };

export class Visitors implements AsyncDisposable {
  /** What pages wrote to the console as an error or warning, and what they threw. */
  readonly complaints: string[] = [];
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** @throws Error that says what to install when there is no browser. */
  static async launch(): Promise<Visitors> {
    return new Visitors(
      await chromium.launch({ executablePath: chromiumPath(), args: [...CHROMIUM_ARGS], headless: true }),
    );
  }

  /** Somebody with empty storage; `complaints` gathers what their pages complain about, save what `expected` matches. */
  async visitor(options: BrowserContextOptions = {}, expected?: RegExp): Promise<BrowserContext> {
    const context = await this.#browser.newContext(options);
    const complain = (words: string): void => {
      if (!expected?.test(words)) this.complaints.push(words);
    };
    context.on("page", (page) => {
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complain(`${message.type()}: ${message.text()}`);
      });
      page.on("pageerror", (error) => complain(String(error)));
    });
    return context;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}
