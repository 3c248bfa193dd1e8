/** The example in a real browser, with everything of it killed while money is under way. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { Todoku } from "@todoku/client";
import axe from "axe-core";
import { Client } from "pg";
import { needBroker } from "../../scripts/brokers/need.ts";
import { Visitors, type Page } from "../../server/src/page/browser-visit.ts";
import { SeededRandom } from "../../tests/seeded-random.ts";
import { freePort } from "../../tests/server-process.ts";
import { ENTRIES, OPENING_BALANCE, OWNERS, TRANSFERS, type Channels, type Entry } from "./messages.ts";

const brokers = await Promise.all(["kafka", "postgres"].map(needBroker));
const skip = brokers.find((broker) => broker.skip !== false)?.skip ?? false;

/** `PAYMENTS_SEED=7 npm test -- payments` kills in another order. */
const SEED = Number(process.env["PAYMENTS_SEED"] ?? 1);
const VICTIMS = ["Ledger", "Gateway 1", "Gateway 2", "Kafka", "PostgreSQL", "Ledger"];
const EACH_TIME = 20;
/** Longest wait for what must happen; nothing is expected to take as long. */
const PATIENCE_MS = 150_000;
/** What a browser says when a gateway is gone, whatever the page does. */
const GATEWAY_GONE = /WebSocket connection to|ERR_(?:CONNECTION|EMPTY)/;

interface Bank {
  readonly url: string;
  readonly database: string;
  /** As Ctrl-C would; all of it must be gone then. */
  end(): Promise<void>;
}

async function startByCommand(t: TestContext): Promise<Bank> {
  const port = await freePort();
  const script = path.join(import.meta.dirname, "start.ts");
  const flags = ["--conditions=source", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...flags, script, "--port", String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  t.after(() => {
    child.kill("SIGTERM");
    return ended;
  });
  const pids: number[] = [];
  let database: string | undefined;
  for await (const line of createInterface(child.stdout)) {
    const [, pid] = / is process (\d+)$/.exec(line) ?? [];
    if (pid !== undefined) pids.push(Number(pid));
    [, database] = /psql (postgres:\S+)$/.exec(line) ?? [];
    if (database !== undefined) break;
  }
  assert.equal(pids.length, 5);
  const bank = {
    url: `http://localhost:${port}`,
    database: database ?? "",
    end: async () => {
      child.kill("SIGTERM");
      assert.deepEqual(await ended, [0, null]);
      await assert.rejects(fetch(bank.url));
    },
  };
  await until("a gateway answers", async () => (await fetch(bank.url)).ok);
  return bank;
}

async function number(page: Page, id: string): Promise<number> {
  return Number(await page.locator(`#${id}`).textContent());
}

/** All that was ever published by the ledger: as the log and the archive have it. */
async function entriesOf(bank: Bank, count: number): Promise<Entry[]> {
  const client = new Todoku<Channels>(bank.url, { token: crypto.randomUUID() });
  const entries: Entry[] = [];
  for await (const { data } of client.subscribe(ENTRIES, { start: "earliest" })) {
    entries.push(data);
    if (entries.length === count) break;
  }
  const { messages } = await client.history(ENTRIES, { reverse: true, limit: 1 });
  await client.close();
  assert.equal(messages[0]?.data.n, count, "nothing after them");
  return entries;
}

async function sql<Row extends object>(bank: Bank, text: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: bank.database });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

async function violations(page: Page): Promise<unknown> {
  await page.addScriptTag({ content: axe.source });
  return page.evaluate(async () => {
    const { axe: runner } = globalThis as unknown as { axe: typeof axe };
    const found = await runner.run(document, { resultTypes: ["violations"] });
    return found.violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map(({ html }) => html) }));
  });
}

test(
  "one command starts it all; whatever is killed, the sum of the balances stays, and every transfer is booked once and shown once",
  { skip, timeout: 420_000 },
  async (t) => {
    const random = new SeededRandom(SEED);
    const bank = await startByCommand(t);
    await using visitors = await Visitors.launch();
    // axe brings its own script into the page, which the page's policy rightly forbids.
    const look = { viewport: { width: 1100, height: 900 }, bypassCSP: true };
    const page = await (await visitors.visitor(look, GATEWAY_GONE)).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(bank.url);
    await page.getByText("€60,000.00").waitFor();

    t.diagnostic(`seed ${SEED}`);
    const left = [...VICTIMS];
    for (let i = 0; left.length > 0; i++) {
      const victim = random.pick(left);
      left.splice(left.indexOf(victim), 1);
      await page.getByRole("button", { name: "20 at random" }).click();
      // Some are booked and some are not; of what is killed it is not known how far it was.
      const enough = EACH_TIME * i + random.integer(1, EACH_TIME - 1);
      await page.waitForFunction(
        (least) =>
          Number(document.querySelector("#booked")?.textContent) +
            Number(document.querySelector("#refused")?.textContent) >=
          least,
        enough,
      );
      const died = await pidOf(page, victim);
      await page.getByRole("button", { name: `Kill ${victim}` }).click();
      t.diagnostic(`${Math.round(performance.now() / 1000)} s: ${victim} is killed after ${enough} entries`);
      await page.waitForFunction(
        ([name, pid]) => {
          const items = [...document.querySelectorAll("#machines li")];
          const item = items.find((one) => one.querySelector("strong")?.textContent === name);
          const remark = item?.querySelector("small")?.textContent ?? "";
          return / \d+, after/.test(remark) && !remark.startsWith(` ${pid},`);
        },
        [victim, died] as const,
      );
    }
    const sent = EACH_TIME * VICTIMS.length;
    await page.waitForFunction(() => document.querySelector("#under-way")?.textContent === "0");
    assert.equal(await number(page, "sent"), sent);
    assert.equal((await number(page, "booked")) + (await number(page, "refused")), sent);
    assert.equal(await number(page, "twice"), 0);
    assert.equal(await page.locator("#sum").textContent(), "€60,000.00");
    assert.equal(await page.locator("#trouble").isVisible(), false);

    const entries = await entriesOf(bank, sent + 1);
    assert.deepEqual(
      entries.map(({ n }) => n),
      Array.from({ length: sent + 1 }, (_, i) => i + 1),
      "one after the other, each once",
    );
    const transfers = new Set(entries.flatMap((entry) => (entry.kind === "opened" ? [] : entry.transfer)));
    assert.equal(transfers.size, sent, "every transfer has one entry");
    const balances = await sql<{ account: string; balance: string }>(
      bank,
      "select * from payments.accounts order by account",
    );
    assert.deepEqual(
      Object.fromEntries(balances.map(({ account, balance }) => [account, Number(balance)])),
      balancesAfter(entries),
      "the book adds up",
    );
    assert.equal(
      balances.reduce((sum, { balance }) => sum + Number(balance), 0),
      OPENING_BALANCE * balances.length,
    );
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await violations(page), [], colorScheme);
    }

    // Kafka's time passes: what is shown from before comes from the storage, and reads on without a seam.
    await untilArchived(bank, sent + 1);
    await page.getByRole("button", { name: "Have Kafka forget" }).click();
    await page.locator('#book li[data-from="postgres"]').nth(sent).waitFor();
    await page.getByRole("button", { name: "20 at random" }).click();
    await page.waitForFunction((count) => document.querySelectorAll("#book li").length === count, sent + EACH_TIME + 1);
    await page.reload();
    await page.getByText("€60,000.00").waitFor();
    while (await page.getByRole("button", { name: "Older" }).isEnabled()) {
      const before = await page.locator("#book li").count();
      await page.getByRole("button", { name: "Older" }).click();
      await page.waitForFunction((count) => document.querySelectorAll("#book li").length > count, before);
    }
    const shown = await page.$$eval("#book li", (items) => items.map((item) => (item as HTMLLIElement).value));
    assert.deepEqual(
      shown,
      Array.from({ length: sent + EACH_TIME + 1 }, (_, i) => sent + EACH_TIME + 1 - i),
    );
    await page.locator('#book li[data-from="postgres"]').nth(sent).waitFor();
    assert.equal(await page.locator('#book li[data-from="kafka"]').count(), EACH_TIME);
    assert.deepEqual(visitors.complaints, []);
    await only(bank);
    await bank.end();
  },
);

/** A visitor may order transfers and read the book, and nothing else. */
async function only({ url }: Bank): Promise<void> {
  const client = new Todoku<Channels>(url, { token: crypto.randomUUID() });
  client.on("error", () => {});
  const listening = client.subscribe(TRANSFERS, () => {});
  listening.on("error", () => {});
  await assert.rejects(listening.ready, { code: 103 });
  await assert.rejects(client.publish(ENTRIES, { n: 1, time: 0, kind: "opened", balances: {} }), { code: 103 });
  const transfer = { transfer: crypto.randomUUID(), from: "ann", to: "ben" };
  await assert.rejects(client.publish(TRANSFERS, { ...transfer, amount: -1 }), { code: 107 });
  await client.close();
}

function balancesAfter(entries: readonly Entry[]): Readonly<Record<string, number>> {
  const balances = Object.fromEntries(Object.keys(OWNERS).map((account) => [account, OPENING_BALANCE]));
  for (const entry of entries) {
    if (entry.kind !== "booked") continue;
    balances[entry.from] = (balances[entry.from] ?? 0) - entry.amount;
    balances[entry.to] = (balances[entry.to] ?? 0) + entry.amount;
    for (const [account, balance] of Object.entries(entry.balances)) assert.equal(balance, balances[account]);
  }
  return balances;
}

async function pidOf(page: Page, title: string): Promise<number> {
  const item = page.locator("#machines li").filter({ has: page.getByText(title, { exact: true }) });
  return Number.parseInt((await item.locator("small").textContent()) ?? "", 10);
}

function untilArchived(bank: Bank, count: number): Promise<void> {
  const archived = `select count(*) as n from todoku.messages where channel = '${ENTRIES}'`;
  return until("all is archived", async () => (await sql<{ n: string }>(bank, archived))[0]?.n === String(count));
}

/** Asks what nobody tells. */
async function until(what: string, so: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await so().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
