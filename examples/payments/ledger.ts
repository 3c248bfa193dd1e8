/**
 * The ledger: a process of its own. The debit, the credit, the entry in the book and the position in the channel are one
 * transaction; what was committed is published after that.
 *
 * It may be killed at any moment: what it has not committed comes again, what it has committed does not count twice.
 */
import { Todoku } from "@todoku/client";
import { postgresCursors } from "@todoku/client/postgres";
import { Pool } from "pg";
import { book, openBook } from "./book.ts";
import { isTransfer, TRANSFERS, type Channels, type Transfer } from "./messages.ts";
import { Outbox } from "./outbox.ts";

const [url = "", database = ""] = process.argv.slice(2);

const pool = new Pool({ connectionString: database, connectionTimeoutMillis: 5000, query_timeout: 10_000 });
pool.on("error", () => {});
await openBook(pool).catch((error: unknown) => {
  // Whoever started it starts it again.
  console.error(`ledger: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});

const cursors = postgresCursors(pool, {
  consumer: "ledger",
  table: "payments.cursors",
  onError: ({ message }) => console.error(`ledger: ${message}`),
});
const client = new Todoku<Channels>(url, { token: process.env["LEDGER_KEY"] ?? "", cursors });
client.on("error", ({ message }) => console.error(`ledger: ${message}`));
const outbox = new Outbox(pool, client);

const apply = cursors.handler<Transfer>(async ({ data, id }, transaction) => {
  if (isTransfer(data)) await book(transaction, data);
  else console.error(`ledger: message ${id} is no transfer, and is passed over`);
});
const subscription = client.subscribe(
  TRANSFERS,
  async (message) => {
    await apply(message);
    outbox.wake();
  },
  { durable: "ledger", start: "earliest" },
);
subscription.on("error", ({ message }) => {
  console.error(`ledger: ${message}`);
  if (subscription.state === "closed") process.exit(1);
});
// A ledger that has not seen a transfer must not go on as if there had been none.
subscription.on("gap", ({ from, to, reason }) => {
  console.error(`ledger: transfers ${from} to ${to} are missing (${reason})`);
  process.exit(1);
});

async function end(): Promise<void> {
  cursors.close();
  await outbox.close();
  await client.close();
  await pool.end();
  process.exit();
}
process.once("SIGTERM", () => void end());
// Whoever started it is gone.
process.once("disconnect", () => process.exit());
// Ctrl-C goes to every process of the terminal; who started this one ends it.
process.on("SIGINT", () => {});
