/**
 * A consumer as an application would write it: the effect of each message and its position are committed in one transaction
 * of the application's own database. Called with the server's URL, the channel and the database's file.
 */
import { DatabaseSync } from "node:sqlite";
import { Todoku, type CursorStore } from "@todoku/client";

const [url = "", channel = "", file = ""] = process.argv.slice(2);

const database = new DatabaseSync(file);
database.exec("PRAGMA journal_mode = WAL");
database.exec("CREATE TABLE IF NOT EXISTS effects (n INTEGER NOT NULL, offset INTEGER NOT NULL, epoch TEXT NOT NULL)");
const insert = database.prepare("INSERT INTO effects (n, offset, epoch) VALUES (?, ?, ?)");
const newest = database.prepare("SELECT epoch, offset FROM effects ORDER BY rowid DESC LIMIT 1");

/** The position is read from where the effect is. Here both are even the same row. */
const cursors: CursorStore = {
  get: () => newest.get() as { epoch: string; offset: number } | undefined,
  set: () => {},
  delete: () => {},
};

const client = new Todoku<Record<string, number>>(url, { cursors });
const subscription = client.subscribe(
  channel,
  ({ data, offset = 0, epoch = "" }) => {
    insert.run(data, offset, epoch);
    process.stdout.write(`${data}\n`);
  },
  { durable: "ledger", start: "earliest" },
);
await subscription.ready;
