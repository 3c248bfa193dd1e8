/**
 * A consumer as an application would write it, on PostgreSQL. Called with the server's URL, the channel, the database's URL, and a
 * number at which it stops between the effect and the commit, until SIGUSR2. Ends with code 4 when it was taken over.
 */
import { Todoku } from "@todoku/client";
import { postgresCursors } from "@todoku/client/postgres";
import { Pool } from "pg";

const [url = "", channel = "", database = "", pauseAt = ""] = process.argv.slice(2);

const pool = new Pool({ connectionString: database });
pool.on("error", () => {});
const cursors = postgresCursors(pool, { consumer: "ledger", idleMs: 1000, onError: () => {} });
const client = new Todoku<Record<string, number>>(url, { cursors });

const resumed = new Promise<void>((resolve) => process.once("SIGUSR2", () => resolve()));
let pause = pauseAt === "" ? undefined : Number(pauseAt);
const subscription = client.subscribe(
  channel,
  cursors.handler<number>(async ({ data }, transaction) => {
    await transaction.query("insert into effects (n) values ($1)", [data]);
    process.stdout.write(`${data}\n`);
    if (data !== pause) return;
    pause = undefined;
    await resumed;
  }),
  { durable: "ledger", start: "earliest" },
);
subscription.on("error", ({ reason, message }) => {
  process.stderr.write(`${message}\n`);
  process.exit(reason === "taken_over" ? 4 : 1);
});
