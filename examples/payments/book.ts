/** The ledger's own tables: accounts, and a book of what has happened to them. */
import type { Pool, PoolClient } from "pg";
import { OPENING_BALANCE, OWNERS, type Balances, type Entry, type Transfer } from "./messages.ts";

/** In a schema of their own: a table without one is looked for where the search path leads first, which may change. */
const TABLES = `
  create schema if not exists payments;
  create table if not exists payments.accounts (
    account text   primary key,
    balance bigint not null check (balance >= 0)
  );
  create table if not exists payments.book (
    n         bigint      primary key,
    -- A transfer has one entry, however often it is asked for and whatever else should fail.
    transfer  uuid        unique,
    kind      text        not null,
    details   json        not null,
    time      timestamptz not null default now(),
    published boolean     not null default false
  );
  create index if not exists book_unpublished on payments.book (n) where not published;
`;

interface Row {
  readonly n: string;
  readonly kind: Entry["kind"];
  readonly details: object;
  readonly time: Date;
}

/** Makes the tables and opens the accounts, once. */
export async function openBook(pool: Pool): Promise<void> {
  await inTransaction(pool, async (transaction) => {
    await transaction.query("select pg_advisory_xact_lock(hashtextextended('payments', 0))");
    await transaction.query(TABLES);
    const opened = await transaction.query(
      "insert into payments.accounts select unnest($1::text[]), $2 on conflict do nothing",
      [Object.keys(OWNERS), OPENING_BALANCE],
    );
    if (opened.rowCount === 0) return;
    const balances = Object.fromEntries(Object.keys(OWNERS).map((account) => [account, OPENING_BALANCE]));
    await enter(transaction, undefined, "opened", { balances });
  });
}

/**
 * Debits one account and credits the other, or refuses, and enters it in the book: in the transaction of whoever calls. What
 * was entered before is passed over.
 */
export async function book(transaction: PoolClient, order: Transfer): Promise<void> {
  const { transfer, from, to, amount } = order;
  const { rowCount: known } = await transaction.query("select from payments.book where transfer = $1", [transfer]);
  if (known !== 0) return;
  const { rows } = await transaction.query<{ account: string; balance: string }>(
    "select account, balance from payments.accounts where account in ($1, $2) order by account for update",
    [from, to],
  );
  const payer = rows.find(({ account }) => account === from);
  if (!payer || rows.length !== 2) return enter(transaction, transfer, "refused", { ...order, why: "no such account" });
  if (Number(payer.balance) < amount)
    return enter(transaction, transfer, "refused", { ...order, why: "not enough money" });
  const changed = await transaction.query<{ account: string; balance: string }>(
    `update payments.accounts set balance = balance + case account when $1 then - $3::bigint else $3::bigint end
     where account in ($1, $2) returning account, balance`,
    [from, to, amount],
  );
  const balances: Balances = Object.fromEntries(changed.rows.map(({ account, balance }) => [account, Number(balance)]));
  return enter(transaction, transfer, "booked", { ...order, balances });
}

/** What was committed, and is not known to be published. */
export async function unpublished(pool: Pool): Promise<readonly Entry[]> {
  const { rows } = await pool.query<Row>(
    "select n, kind, details, time from payments.book where not published order by n limit 100",
  );
  return rows.map(({ n, kind, details, time }) => ({ n: Number(n), time: time.getTime(), kind, ...details }) as Entry);
}

export async function markPublished(pool: Pool, { n }: Entry): Promise<void> {
  await pool.query("update payments.book set published = true where n = $1", [n]);
}

/** Transactions come one after the other, so that the numbers have no holes. */
async function enter(
  transaction: PoolClient,
  transfer: string | undefined,
  kind: Entry["kind"],
  details: object,
): Promise<void> {
  await transaction.query(
    "insert into payments.book (n, transfer, kind, details) select coalesce(max(n), 0) + 1, $1, $2, $3 from payments.book",
    [transfer ?? null, kind, details],
  );
}

async function inTransaction(pool: Pool, work: (transaction: PoolClient) => Promise<void>): Promise<void> {
  const transaction = await pool.connect();
  let done = false;
  try {
    await transaction.query("begin");
    await work(transaction);
    await transaction.query("commit");
    done = true;
  } finally {
    transaction.release(!done);
  }
}
