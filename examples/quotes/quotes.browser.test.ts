import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Visitors, type Page } from "../../server/src/page/browser-visit.ts";
import { freePort } from "../../tests/server-process.ts";
import { byDay, readQuotes, type Quote } from "./quotes.ts";
import { replay } from "./replay.ts";

/** A browser writes these to the console when a server is gone, whatever the page does. */
const SERVER_GONE = /WebSocket connection to|ERR_CONNECTION_REFUSED/;

const FLAGS = ["--conditions=source", "--disable-warning=ExperimentalWarning"];

test("the file is read as it is", () => {
  const quotes = readQuotes();
  assert.equal(quotes.length, 560);
  assert.deepEqual(quotes[0], { symbol: "MSFT", date: "Jan 1 2000", price: 39.81 });
  assert.deepEqual(quotes.at(-1), { symbol: "AAPL", date: "Mar 1 2010", price: 223.02 });
  const days = byDay(quotes);
  assert.equal(days.length, 123);
  assert.deepEqual(days.flat().length, quotes.length);
});

test(
  "after the server was killed while the lines grew, they are complete and equal the file",
  { timeout: 120_000 },
  async () => {
    const data = mkdtempSync(path.join(tmpdir(), "todoku-quotes-test-"));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    let server = await serve(port, data);
    try {
      await using visitors = await Visitors.launch();
      const page = await (await visitors.visitor({ viewport: { width: 1100, height: 800 } }, SERVER_GONE)).newPage();
      await page.goto(url);

      const quotes = readQuotes();
      // Early on and two thirds of the way in, in the middle of a day's publishes.
      const killAfter = [100, 377];
      let accepted = 0;
      let retries = 0;
      let killing = Promise.resolve();
      const restart = async (): Promise<void> => {
        server.kill("SIGKILL");
        await once(server, "exit");
        server = await serve(port, data);
      };
      await replay(quotes, {
        url,
        speed: Infinity,
        run: "test",
        onAccepted: () => {
          if (killAfter.includes(++accepted)) killing = restart();
        },
        onRetry: () => retries++,
      });
      await killing;
      assert.ok(retries > 0, "the server was gone long enough to be missed");

      await drawn(page, quotes);
      await page.reload();
      await drawn(page, quotes);
      assert.deepEqual(visitors.complaints, []);
    } finally {
      server.kill("SIGKILL");
      rmSync(data, { recursive: true, force: true });
    }
  },
);

test("one command starts it all, and ends it all", async () => {
  const port = await freePort();
  const script = path.join(import.meta.dirname, "start.ts");
  const child = spawn(process.execPath, [...FLAGS, script, "--port", String(port), "--speed", "max"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    said += chunk.toString();
    if (said.includes("quotes accepted")) break;
  }
  const kept = ["MSFT", "AMZN", "IBM", "GOOG", "AAPL"].map(async (symbol) => {
    const body = JSON.stringify({ channel: `quotes:${symbol}`, limit: -1 });
    const response = await fetch(`http://127.0.0.1:${port}/api/history`, { method: "POST", body });
    const { result } = (await response.json()) as { result: { publications: readonly { data: object }[] } };
    return result.publications.map(({ data }) => ({ symbol, ...data }));
  });
  assert.deepEqual((await Promise.all(kept)).flat(), readQuotes());
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/health`));
});

/** Resolves when as many quotes are drawn as there are; then they must be the same ones, in the file's order per company. */
async function drawn(page: Page, quotes: readonly Quote[]): Promise<void> {
  await page.waitForFunction((count) => document.querySelector("#count")?.textContent === String(count), quotes.length);
  const rows = await page.$$eval("#numbers tr", (all) =>
    all.map((row) => [...row.children].map((cell) => cell.textContent)),
  );
  const symbols = [...new Set(quotes.map(({ symbol }) => symbol))];
  for (const symbol of symbols) {
    assert.deepEqual(
      rows.filter((row) => row[0] === symbol),
      quotes.filter((quote) => quote.symbol === symbol).map(({ date, price }) => [symbol, date, String(price)]),
    );
  }
  assert.equal(await page.isHidden("#gaps"), true);
  // The lines have a corner for each of them.
  await page.waitForFunction(
    (expected) =>
      Object.entries(expected).every(
        ([symbol, count]) =>
          document.querySelector(`path[data-symbol="${symbol}"]`)?.getAttribute("d")?.split(/[ML]/).length ===
          count + 1,
      ),
    Object.fromEntries(symbols.map((symbol) => [symbol, quotes.filter((quote) => quote.symbol === symbol).length])),
  );
}

async function serve(port: number, data: string): Promise<ChildProcess> {
  const script = path.join(import.meta.dirname, "server.ts");
  const child = spawn(process.execPath, [...FLAGS, script, "--port", String(port), "--data", data], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}
