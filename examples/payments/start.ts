/**
 * Everything with one command: Kafka, PostgreSQL, two gateways, the ledger, and the page.
 *
 *     npm run example payments
 *
 * Kill whatever you like, on the page or with kill -9: the sum of the balances stays, and every transfer counts once.
 */
import { parseArgs } from "node:util";
import { startBank } from "./bank.ts";

const { values } = parseArgs({ options: { port: { type: "string", default: "8030" } } });

console.log("starting Kafka and PostgreSQL …");
const starting = startBank({ port: Number(values.port) });
// Also while it starts: what runs already is ended with it.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void starting.then((bank) => bank.close()).then(() => process.exit(0)));
}
const bank = await starting;
console.log(`payments on ${bank.url} (Ctrl-C ends it)`);
for (const { name, pid } of bank.machines) console.log(`${name} is process ${pid}`);
console.log(`the book and the archive: psql ${bank.database}`);
